// A plug-in that uses pyhost, for an application without Python.
#include <cstdio>
#include <pyhost/pyhost.hpp>

/// Runs a module and prints its result. Returns 0 on success.
extern "C" __attribute__((visibility("default"))) int run(const char* path, const char* venv,
                                                          const char* name) {
  try {
    pyhost::Host host({.module_paths = {path}, .venv = venv});
    std::puts(host.run<std::string>(name).c_str());
    return 0;
  } catch (const pyhost::Error& error) {
    std::fputs(error.rendered().c_str(), stderr);
    return 1;
  }
}
