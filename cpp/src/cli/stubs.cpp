// pyhost stubs: the services of a host as a stub file, for type checkers and editors.
#include <CLI/CLI.hpp>
#include <iostream>

#include "cli/command.hpp"
#include "pyhost/pyhost.hpp"

namespace pyhost::cli {

void add_stubs(CLI::App& program, int& code) {
  CLI::App* command = program.add_subcommand(
      "stubs",
      "Prints pyhost/services.pyi: what modules may call by `from pyhost import services`.\n\n"
      "The program itself provides no services. An application that links pyhost prints its own by\n"
      "Host::stubs().\n");
  command->callback([&code] {
    code = exit_code_of("stubs", [] {
      std::cout << Host().stubs();
      return ok;
    });
  });
}

}  // namespace pyhost::cli
