#include <iostream>
#include <pyhost/pyhost.hpp>

using namespace std::chrono_literals;

int main(int argc, char** argv) {
  if (const auto code = pyhost::worker_main(argc, argv)) return *code;  // this program is its own worker
  pyhost::Host host({.module_paths = {"."}});
  pyhost::Pool pool(host, {.workers = 2,
                           .isolation = pyhost::Isolation::Process,
                           .timeout = 1s,
                           .memory_limit = std::size_t{512} << 20,
                           .worker = "/proc/self/exe"});
  for (const char* how : {"crash", "hang", "return"}) {
    try {
      std::cout << pool.submit<std::string>("untrusted", {{"how", how}}).get() << "\n";
    } catch (const pyhost::Error& error) {
      std::cout << to_string(error.kind()) << ": " << error.message() << "\n";
    }
  }
}
