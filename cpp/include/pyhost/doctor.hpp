// Examines the Python that a host would run on, and reports problems.
#pragma once

#include <string>
#include <vector>

#include "pyhost/options.hpp"

namespace pyhost {

/// The result of one check: something that a host needs, and its state.
struct Finding {
  /// How serious a finding is.
  enum class Verdict {
    Ok,       ///< There is no problem.
    Warning,  ///< A host can be opened, but it may not work as expected.
    Fault,    ///< No host can be opened.
  };
  std::string name;               ///< The thing that was checked, as in "virtual environment".
  std::string value = {};         ///< Its current value, for example a path.
  Verdict verdict = Verdict::Ok;  ///< How serious the problem is.
  std::string problem = {};       ///< A description of the problem, or empty.
  std::string cure = {};          ///< How to solve the problem, or empty.
};

/// Checks everything that a host with these options needs, even if no host can be opened. Starts CPython
/// unless it has found a fault before. Imports no module.
/// Throws: only std::bad_alloc. Problems are findings.
std::vector<Finding> examine(const Options& options = {});

}  // namespace pyhost
