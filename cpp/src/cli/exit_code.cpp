// Prints the failures of commands, and returns their exit codes.
#include "cli/exit_code.hpp"

#include <iostream>

#include "cli/errors.hpp"
#include "cli/json_text.hpp"
#include "cli/result_stream.hpp"

namespace pyhost::cli {

int exit_code_of_load(const Error& error) noexcept {
  const bool ended = error.kind() == ErrorKind::WorkerCrashed || error.kind() == ErrorKind::TimedOut;
  return ended ? not_loaded : exit_code(error.kind());
}

int exit_code_of(const std::string& command, const std::function<int()>& work) {
  try {
    return work();
  } catch (const Error& error) {
    std::cerr << "error: " << error.rendered();
    return exit_code(error.kind());
  } catch (const ConfigurationError& error) {
    std::cerr << "error: " << error.what()
              << "\nhint: the known keys are module_paths, venv, store, log.level, log.format, "
                 "connections.NAME, modules.NAME.state, modules.NAME.timeout and schedule\n";
    return usage;
  } catch (const UsageError& error) {
    std::cerr << "error: " << error.what() << "\nhint: see `pyhost " << command << " -h`\n";
    return usage;
  } catch (const OutputError& error) {
    std::cerr << "error: " << error.what() << "\n";
    return not_written;
  }
}

int errors_as_json(bool json, ResultStream& output, const std::function<int()>& work) {
  try {
    return work();
  } catch (const Error& error) {
    if (!json) throw;
    output.write_line(error_document(error));
    return exit_code(error.kind());
  }
}

}  // namespace pyhost::cli
