// Surveys: the modules in the module paths, and their problems, as plain data.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pyhost/json_fwd.hpp"

namespace pyhost {

/// The severity of a diagnostic.
enum class Severity {
  Error,    ///< The module cannot work.
  Warning,  ///< The module may work, but there is a problem.
  Note,     ///< Something cannot be checked by reading the source.
};

/// Returns the enumerator's name in lower case, as in "error".
std::string_view to_string(Severity severity) noexcept;

/// A kind of diagnostic. Codes are stable.
struct DiagnosticCode {
  std::string_view code;     ///< The code, as in "no-create".
  Severity severity;         ///< The severity of diagnostics with this code.
  std::string_view meaning;  ///< A description, in one sentence.
};

/// Returns all diagnostic codes.
std::span<const DiagnosticCode> diagnostic_codes() noexcept;

/// A problem in a file of a module.
struct Diagnostic {
  std::string module = {};              ///< The module's name, or empty if the file cannot be a module.
  std::string file = {};                ///< The path of the file. Bytes that are not UTF-8 are escaped.
  int line = 1;                         ///< The line, from 1.
  int column = 1;                       ///< The column in characters, from 1.
  std::string code = {};                ///< The kind of the problem: see diagnostic_codes().
  Severity severity = Severity::Error;  ///< The severity of the problem.
  std::string message = {};             ///< A description of the problem.

  /// Returns the diagnostic as JSON, with one key for each member. The keys are stable.
  Json to_json() const;
};

/// A module in a module path.
struct ModuleInfo {
  std::string name = {};                     ///< The module's name, without `modules.` in front.
  std::string file = {};                     ///< The path of its file. Bytes that are not UTF-8 are escaped.
  std::string doc = {};                      ///< The first line of its docstring.
  std::string hidden_by = {};                ///< The file that is loaded by this name instead, or empty.
  std::vector<Diagnostic> diagnostics = {};  ///< The problems of the module.

  /// Returns the first diagnostic with Severity::Error, or null.
  /// Ownership: the pointer is valid as long as this object is not changed or destroyed.
  const Diagnostic* error() const noexcept;

  /// Returns the module as JSON with the keys name, file, doc, hidden_by and error. The keys are stable.
  Json to_json() const;
};

/// The modules in a host's module paths. Host::survey() returns it.
struct Survey {
  std::vector<std::string> folders = {};  ///< The `modules` folders, in the order in which they are searched.
  std::vector<ModuleInfo> modules = {};   ///< Sorted by name. A hidden file follows the one that hides it.
  std::vector<Diagnostic> strays = {};    ///< Files and folders that cannot be modules.
};

/// How Host::survey() checks modules.
enum class Look {
  Read,    ///< It reads their files. No code of a module is executed.
  Import,  ///< It also imports modules without errors, once while the host is open.
};

/// Checks whether a name is a valid module name: ASCII identifiers joined by dots. No host is needed.
/// Throws: InvalidName if it is not.
void check_module_name(std::string_view name);

}  // namespace pyhost
