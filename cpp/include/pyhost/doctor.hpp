// Looks at the Python that a host would run on, and says what is wrong with it.
#pragma once

#include <string>
#include <vector>

#include "pyhost/options.hpp"

namespace pyhost {

/// One thing that a host needs, and what was found of it.
struct Finding {
  enum class Verdict { Ok, Warning, Fault };
  std::string name;               ///< As in "virtual environment".
  std::string value = {};         ///< What is there.
  Verdict verdict = Verdict::Ok;  ///< With a fault no host can be opened.
  std::string problem = {};       ///< What is wrong; empty if nothing is.
  std::string cure = {};          ///< What to do about it.
};

/// Examines all that a host with these options needs, also where none can be opened: then it says why. Starts
/// CPython if nothing speaks against it; imports no module. Throws nothing but std::bad_alloc.
std::vector<Finding> examine(const Options& options = {});

}  // namespace pyhost
