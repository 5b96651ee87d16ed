// Prints the stubs of services whose names are Python builtins, and whose docs need escaping.
#include <iostream>
#include <pyhost/pyhost.hpp>
#include <string>

#include "programs.hpp"

int pyhost::test::prints_stubs(int /*argc*/, char** /*argv*/) {
  pyhost::Host host;
  for (const char* name : {"Any", "bytes", "dict", "overload", "str"}) {
    host.services().provide(
        name, [](const pyhost::Json& asked) { return asked; },
        "What a \"" + std::string(name) + "\" costs, \xF0\x9F\x98\x80,\nand not \\ more.");
  }
  std::cout << host.services().stubs();
  return 0;
}
