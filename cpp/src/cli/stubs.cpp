// pyhost stubs: prints the services of a host as a stub file, for type checkers and editors.
#include <iostream>

#include "cli/commands.hpp"
#include "cli/exit_code.hpp"
#include "cli/files.hpp"
#include "pyhost/host.hpp"

namespace pyhost::cli {

int stubs() {
  require_stdout();
  std::cout << Host().services().stubs();
  return ok;
}

}  // namespace pyhost::cli
