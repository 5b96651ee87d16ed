// A program for a machine that has libpython but no python binary. It acts as the python binary itself.
#include <iostream>
#include <pyhost/pyhost.hpp>

#include "programs.hpp"

int pyhost::test::stands_in(int argc, char** argv) {
  if (const auto code = pyhost::python_main(argc, argv)) return *code;
  try {
    pyhost::Host host({.module_paths = {argv[1]}, .python = {.home = argv[2]}});
    std::cout << host.environment().executable.string() << '\n' << host.run<std::string>(argv[3]) << '\n';
  } catch (const pyhost::Error& error) {
    std::cerr << error.rendered();
    return 1;
  }
  return 0;
}
