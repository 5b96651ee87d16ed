// Lets a program stand in for the python binary that is not there.
#pragma once

#include <optional>

namespace pyhost {

/// To be called first in main(). On a machine that has Python's library but no python binary, a host makes
/// the program itself `sys.executable`, under the name of one, so that multiprocessing and subprocess work
/// from within modules. Gives the exit code for main() to return if the program was called by that name;
/// nothing if it was called by its own.
std::optional<int> python_main(int argc, char** argv);

}  // namespace pyhost
