// finalizes_python PATH WHO: calls Py_Finalize() while a host is open. WHO, "application" or "pyhost", starts
// Python. Prints the errors of a run afterwards, of a run after another Py_Initialize(), and of opening
// another host.
#include <Python.h>

#include <cstdio>
#include <optional>
#include <pyhost/pyhost.hpp>
#include <string>

#include "programs.hpp"

namespace {

template <class Action>
void print_error(Action action) {
  try {
    action();
    std::puts("no error");
  } catch (const pyhost::Error& error) {
    std::puts(error.what());
  }
}

}  // namespace

int pyhost::test::finalizes_python(int /*argc*/, char** argv) {
  const Options options{.module_paths = {argv[1]}};
  if (std::string(argv[2]) == "application") {
    Py_Initialize();
    PyEval_SaveThread();
  }
  std::optional<Host> host(options);
  Instance instance = host->load("wins").create();
  std::puts(instance.run<std::string>().c_str());
  PyGILState_Ensure();
  Py_Finalize();
  print_error([&] { instance.run(); });
  Py_Initialize();
  PyEval_SaveThread();
  print_error([&] { host->run("wins"); });
  host.reset();
  print_error([&] { Host again(options); });
  return 0;
}
