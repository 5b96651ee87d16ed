// The program pyhost: reads the command line and gives it to the command that it names.
#include <fcntl.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iomanip>
#include <memory>
#include <sstream>
#include <string>

#include "cli/command.hpp"
#include "pyhost/python_main.hpp"

namespace pyhost::cli {

namespace {

// A command's description goes on with its examples; in the list of commands its first line is enough.
class HelpFormat : public CLI::Formatter {
 public:
  std::string make_subcommand(const CLI::App* command) const override {
    const std::string text = command->get_description();
    std::stringstream out;
    out << "  " << std::left << std::setw(static_cast<int>(get_column_width()) - 2) << command->get_name()
        << text.substr(0, text.find('\n')) << "\n";
    return out.str();
  }
};

// A descriptor that is closed would be given to the next file that is opened, and what is printed would land
// in that. C's stdout goes by lines, as Python's does, so that both come out in their order.
void open_standard_streams() {
  for (const int fd : {STDIN_FILENO, STDERR_FILENO}) {
    if (fcntl(fd, F_GETFD) >= 0) continue;
    const int null = open("/dev/null", O_RDWR);
    if (null != fd && null >= 0) dup2(null, fd), close(null);
  }
  std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);
}

// CLI11 2.5 breaks texts into lines anew; ours are broken already, and examples must stay as they are.
template <class Format>
std::shared_ptr<Format> with_lines_kept(std::shared_ptr<Format> format) {
  if constexpr (requires { format->enable_description_formatting(false); }) {
    format->enable_description_formatting(false);
    format->enable_footer_formatting(false);
  }
  return format;
}

int run_program(int argc, char** argv) {
  int code = ok;
  CLI::App program("Runs Python modules: JSON in, JSON out.", "pyhost");
  program.set_version_flag("--version", "pyhost " PYHOST_VERSION);
  program.set_help_flag("-h,--help", "Print this help and exit");
  program.formatter(with_lines_kept(std::make_shared<HelpFormat>()));
  program.require_subcommand(1);
  program.footer("`pyhost COMMAND -h` shows examples of a command.");
  add_run(program, code);
  add_map(program, code);
  add_list(program, code);
  add_check(program, code);
  add_new(program, code);
  add_doctor(program, code);
  add_stubs(program, code);
  try {
    program.parse(argc, argv);
  } catch (const CLI::Success& asked_for_text) {
    return program.exit(asked_for_text);
  } catch (const CLI::ParseError& wrong) {
    const std::string first = argc > 1 ? argv[1] : "";
    const bool known = std::ranges::any_of(
        program.get_subcommands({}), [&](const CLI::App* command) { return command->check_name(first); });
    const bool unknown = !known && !first.empty() && first[0] != '-';
    const std::string problem = unknown ? "there is no command '" + first + "'" : wrong.what();
    std::fprintf(stderr, "error: %s\nhint: see `pyhost -h`%s\n", problem.c_str(),
                 known ? (" and `pyhost " + first + " -h`").c_str() : "");
    return usage;
  }
  return code;
}

}  // namespace

}  // namespace pyhost::cli

int main(int argc, char** argv) {
  if (const std::optional<int> code = pyhost::python_main(argc, argv)) return *code;
  pyhost::cli::open_standard_streams();
  try {
    return pyhost::cli::run_program(argc, argv);
  } catch (const std::exception& unforeseen) {
    std::fprintf(stderr, "error: %s\n", unforeseen.what());
    return pyhost::cli::not_started;
  }
}
