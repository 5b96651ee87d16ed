// Opens and closes a thousand hosts, one after another, and runs the same module in each. This happens on
// another thread than the main one. Prints the last result, and by how many KiB the process grew after the
// first hundred.
#include <fstream>
#include <iostream>
#include <pyhost/pyhost.hpp>
#include <string>
#include <thread>

#include "programs.hpp"

namespace {

long resident_kib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmRSS:")) return std::stol(line.substr(6));
  }
  return 0;
}

void open_many(char** argv) {
  const pyhost::Options options{.module_paths = {argv[1]}, .venv = argv[2]};
  std::string result;
  long before = 0;
  for (int i = 0; i < 1000; ++i) {
    if (i == 100) before = resident_kib();
    pyhost::Host host(options);
    result = host.run<std::string>(argv[3]);
  }
  std::cout << result << ' ' << resident_kib() - before << '\n';
}

}  // namespace

int pyhost::test::many_hosts(int /*argc*/, char** argv) {
  std::thread(open_many, argv).join();
  return 0;
}
