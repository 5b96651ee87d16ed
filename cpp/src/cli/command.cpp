// What the commands have in common.
#include "command.hpp"

#include <cstdlib>
#include <iostream>
#include <sstream>

namespace pyhost::cli {

ExitCode exit_code(ErrorKind kind) noexcept {
  switch (kind) {
    case ErrorKind::ModuleRaised:
      return module_raised;
    case ErrorKind::InvalidName:
    case ErrorKind::InvalidState:
      return usage;
    case ErrorKind::ModuleNotFound:
    case ErrorKind::ImportFailed:
    case ErrorKind::BadContract:
      return not_loaded;
    case ErrorKind::InvalidResult:
      return result_not_json;
    case ErrorKind::StartupFailed:
    case ErrorKind::HostClosed:
      break;
  }
  return not_started;
}

int exit_code_of(const std::string& command, const std::function<int()>& work) {
  try {
    return work();
  } catch (const Error& error) {
    std::cerr << "error: " << error.rendered();
    return exit_code(error.kind());
  } catch (const Usage& wrong) {
    std::cerr << "error: " << wrong.what() << "\nhint: see `pyhost " << command << " -h`\n";
    return usage;
  } catch (const NotWritten& failed) {
    std::cerr << "error: " << failed.what() << "\n";
    return not_written;
  }
}

void add_module_paths(CLI::App& command, std::vector<std::string>& module_paths) {
  command
      .add_option("-m,--module-path", module_paths,
                  "A folder that holds modules/; may be repeated (Env:PYHOST_MODULE_PATH, with : between)")
      ->allow_extra_args(false);
}

Options options_from(const std::vector<std::string>& module_paths) {
  Options options;
  options.module_paths.assign(module_paths.begin(), module_paths.end());
  const char* variable = std::getenv("PYHOST_MODULE_PATH");
  if (!options.module_paths.empty() || variable == nullptr) return options;
  std::istringstream paths(variable);
  for (std::string path; std::getline(paths, path, ':');) {
    if (!path.empty()) options.module_paths.emplace_back(path);
  }
  return options;
}

}  // namespace pyhost::cli
