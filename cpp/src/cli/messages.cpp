// Prints errors, warnings and the Python environment.
#include "cli/messages.hpp"

#include <unistd.h>

#include <iostream>
#include <string>

#include "cli/configuration.hpp"
#include "cli/json_text.hpp"
#include "cli/terminal.hpp"
#include "pyhost/environment.hpp"
#include "pyhost/options.hpp"

namespace pyhost::cli {

void print_error(const Error& error, bool verbose) {
  const bool colour = use_colour(STDERR_FILENO);
  std::cerr << (colour ? "\x1b[1;31merror:\x1b[0m " : "error: ")
            << error.rendered({.colour = colour, .verbose = verbose});
}

void print_environment(const Environment& environment, bool verbose, bool quiet) {
  if (quiet) return;
  for (const std::string& warning : environment.warnings) std::cerr << "warning: " << warning << "\n";
  if (!verbose) return;
  if (const auto& file = configuration().file; !file.empty()) {
    std::cerr << "pyhost: configuration: " << file.string() << "\n";
  }
  std::cerr << "pyhost: Python " << environment.version << " from " << environment.library.string() << "\n"
            << "pyhost: virtual environment: "
            << (environment.venv.empty() ? "none"
                                         : environment.venv.string() + " (" + environment.venv_source + ")")
            << "\n";
}

void CloseErrors::listen_to(Options& options) {
  options.callbacks.on_error = [this](const Error& error) {
    if (!begun_ || error.phase() != Phase::Close) return;
    const std::lock_guard lock(mutex_);
    errors_.push_back(error);
  };
}

bool CloseErrors::print(const Error* printed, bool verbose) {
  const std::lock_guard lock(mutex_);
  if (printed != nullptr) {
    const std::string same = error_json(*printed);
    std::erase_if(errors_, [&](const Error& error) { return error_json(error) == same; });
  }
  for (const Error& error : errors_) print_error(error, verbose);
  return !errors_.empty();
}

}  // namespace pyhost::cli
