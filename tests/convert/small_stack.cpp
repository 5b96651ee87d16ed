// Runs a module on a thread with a small stack, and prints its result or the error: small_stack KILOBYTES HOW
// STATE, where HOW is text, json or process.
#include <pthread.h>

#include <cstdlib>
#include <iostream>
#include <pyhost/pyhost.hpp>
#include <string>

#include "programs.hpp"

namespace {

struct Call {
  pyhost::Host& host;
  std::string how;
  std::string state;
  pyhost::Json tree;  // made on the main thread: nlohmann_json needs a large stack
};

void* run(void* given) {
  const Call& call = *static_cast<Call*>(given);
  try {
    if (call.how == "process") {
      pyhost::Pool pool(call.host, {.workers = 1, .isolation = pyhost::Isolation::Process});
      std::cout << pool.submit<std::string>("evaluates", call.tree).get().size() << '\n';
    } else if (call.how == "json") {
      std::cout << call.host.load("evaluates").create(call.tree).run().size() << '\n';
    } else {
      std::cout << call.host.load("evaluates").create(std::string_view(call.state)).run<std::string>().size()
                << '\n';
    }
  } catch (const pyhost::Error& error) {
    std::cout << to_string(error.kind()) << ": " << error.message() << '\n';
  }
  return nullptr;
}

}  // namespace

int pyhost::test::small_stack(int /*argc*/, char** argv) {
  pyhost::Host host({.module_paths = {argv[1]}});
  host.load("evaluates");
  Call call{host, argv[3], argv[4], pyhost::Json::parse(argv[4])};
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, std::strtoul(argv[2], nullptr, 10) * 1024);
  pthread_t thread{};
  if (pthread_create(&thread, &attributes, run, &call) != 0) return EXIT_FAILURE;
  pthread_join(thread, nullptr);
  return EXIT_SUCCESS;
}
