// Runs the program as a python binary.
#include "pyhost/main.hpp"

#include <cstdio>
#include <filesystem>

#include "interpreter/interpreter.hpp"
#include "pyhost/error.hpp"
#include "python/python.hpp"

namespace pyhost {

namespace {

namespace fs = std::filesystem;

// Starts as `python3` does, but with the home of the host that made this stand-in.
PyStatus start_as_python(PyConfig& config, int argc, char** argv, const fs::path& home) {
  PyStatus status = PyConfig_SetBytesArgv(&config, argc, argv);
  if (PyStatus_Exception(status) != 0) return status;
  status = PyConfig_SetBytesString(&config, &config.home, home.c_str());
  if (PyStatus_Exception(status) != 0) return status;
  status = PyConfig_SetBytesString(&config, &config.executable, argv[0]);
  if (PyStatus_Exception(status) != 0) return status;
  return Py_InitializeFromConfig(&config);
}

}  // namespace

std::optional<int> python_main(int argc, char** argv) {
  const fs::path called = argc > 0 ? argv[0] : "";
  std::error_code failed;
  const fs::path home = fs::read_symlink(called.parent_path() / "home", failed);
  if (failed || !called.filename().string().starts_with("python")) {
    detail::allow_stand_in();
    return std::nullopt;
  }
  PyConfig config;
  PyConfig_InitPythonConfig(&config);
  const PyStatus status = start_as_python(config, argc, argv, home);
  PyConfig_Clear(&config);
  if (PyStatus_IsExit(status) != 0) return status.exitcode;
  if (PyStatus_Exception(status) != 0) {
    std::fprintf(stderr, "error: Python did not start: %s\n", status.err_msg);
    return 70;
  }
  return Py_RunMain();
}

}  // namespace pyhost
