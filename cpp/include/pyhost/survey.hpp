// What the module paths hold and what is wrong with it, as plain data.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pyhost/json_fwd.hpp"

namespace pyhost {

/// How much a diagnostic matters.
enum class Severity {
  Error,    ///< The module cannot work as it is.
  Warning,  ///< It may work, but something about it is not as it should be.
  Note,     ///< Something could not be seen from the source alone.
};

/// The enumerator's name in lower case, as in "error".
std::string_view to_string(Severity severity) noexcept;

/// A kind of diagnostic; codes are stable.
struct DiagnosticCode {
  std::string_view code;  ///< As in "no-create".
  Severity severity;
  std::string_view meaning;  ///< In one sentence.
};

/// All the codes there are.
std::span<const DiagnosticCode> diagnostic_codes() noexcept;

/// One thing to say about one place in a file.
struct Diagnostic {
  std::string module = {};  ///< The module's name; empty for a file that can be no module.
  std::string file = {};    ///< As UTF-8: bytes that are none are escaped.
  int line = 1;
  int column = 1;  ///< In characters.
  std::string code = {};
  Severity severity = Severity::Error;
  std::string message = {};

  /// The same as data; the keys are stable.
  Json to_json() const;
};

/// A module that was found.
struct ModuleInfo {
  std::string name = {};
  std::string file = {};       ///< As UTF-8: bytes that are none are escaped.
  std::string doc = {};        ///< The first line of its docstring, as it stands there.
  std::string hidden_by = {};  ///< The file that is loaded by this name instead; empty if it is this one.
  std::vector<Diagnostic> diagnostics = {};

  /// The first of its errors; null if it has none. Belongs to this.
  const Diagnostic* error() const noexcept;

  /// The same as data; the keys are stable.
  Json to_json() const;
};

/// What a host's module paths hold.
struct Survey {
  std::vector<std::string> folders = {};  ///< The folders `modules`, the first that has a name wins.
  std::vector<ModuleInfo> modules = {};   ///< By name; the files that one hides come right after it.
  std::vector<Diagnostic> strays = {};    ///< Files and folders there that can be no module.
};

/// How a host looks at its modules.
enum class Look {
  Read,    ///< Files are read; nothing of a module runs.
  Import,  ///< What reading finds no error in is imported as well, once for as long as the host is open.
};

/// Throws InvalidName unless this can be a module's name: ASCII identifiers joined by dots. Needs no host.
void check_module_name(std::string_view name);

}  // namespace pyhost
