// ends_python PATH NAME HOW: runs a module, and ends like an application does: by shut_down, return, exit, or
// with a static host.
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <pyhost/pyhost.hpp>
#include <string>

#include "programs.hpp"

int pyhost::test::ends_python(int /*argc*/, char** argv) {
  const std::string how = argv[3];
  static std::optional<Host> lasts;
  std::optional<Host> ends;
  std::optional<Host>& host = how == "static" ? lasts : ends;
  host.emplace(Options{.module_paths = {argv[1]}});
  std::puts(host->run<std::string>(argv[2]).c_str());
  constexpr int code = 7;
  if (how == "exit") std::exit(code);
  if (how == "shut_down") {
    host.reset();
    shut_down(code);
    std::puts("main goes on");
  }
  return code;
}
