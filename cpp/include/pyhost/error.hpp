// What went wrong and where, as plain data that needs no Python.
#pragma once

#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "pyhost/json.hpp"

namespace pyhost {

/// Who has to mend it decides the kind.
enum class ErrorKind {
  StartupFailed,   ///< Python or pyhost could not start: mend the installation or the options.
  InvalidName,     ///< The name can be no module's.
  InvalidState,    ///< The state is no JSON object that Python can be given.
  ModuleNotFound,  ///< No module path has the module.
  ImportFailed,    ///< The module is there, but importing it raised.
  BadContract,     ///< `create` or `run` is missing or cannot be called as the contract says.
  ModuleRaised,    ///< The module raised in `create` or `run`, SystemExit and KeyboardInterrupt included.
  InvalidResult,   ///< What `run` returned has no exact form in JSON.
  HostClosed,      ///< The handle's host is gone, or the process is ending.
};

/// The step during which it went wrong.
enum class Phase { Start, Find, Import, Create, Run, Result, Close };

/// The enumerator's name, as in "ModuleNotFound".
std::string_view to_string(ErrorKind kind) noexcept;

/// The phase in lower case, as in "import".
std::string_view to_string(Phase phase) noexcept;

/// One line of Python code on the way to an exception.
struct Frame {
  std::string file;      ///< As Python names it.
  int line = 0;          ///< From 1; 0 if not known.
  std::string function;  ///< Empty for the place of a syntax error.
  std::string source;    ///< The line itself without indentation; empty if it could not be read.
};

/// A Python exception as text: nothing in it refers to Python any more.
struct PythonException {
  std::string type;           ///< Qualified, as in "json.decoder.JSONDecodeError"; builtins by bare name.
  std::string message;        ///< `str()` of it as valid UTF-8, cut at 64 KiB.
  std::vector<Frame> frames;  ///< Outermost first; of more than 100 the middle is left out.
};

/// The one exception of this library; it may be copied, kept and sent to any thread.
class Error : public std::exception {
 public:
  /// All that an error can say; what does not apply is empty.
  struct Data {
    ErrorKind kind = ErrorKind::StartupFailed;
    Phase phase = Phase::Start;
    std::string module = {};         ///< The name that was asked for.
    std::string message = {};        ///< What happened, in one sentence.
    std::string pointer = {};        ///< JSON pointer (RFC 6901) of the value in state or result.
    std::string hint = {};           ///< What to do about it.
    PythonException exception = {};  ///< What Python raised; `type` is empty if it raised nothing.
  };

  explicit Error(Data data);

  ErrorKind kind() const noexcept { return said_->data.kind; }
  Phase phase() const noexcept { return said_->data.phase; }
  const std::string& module() const noexcept { return said_->data.module; }
  const std::string& message() const noexcept { return said_->data.message; }
  const std::string& pointer() const noexcept { return said_->data.pointer; }
  const std::string& hint() const noexcept { return said_->data.hint; }
  const PythonException& exception() const noexcept { return said_->data.exception; }

  /// Message, place and hint in one paragraph.
  const char* what() const noexcept override { return said_->what.c_str(); }

  /// The message, the module's own frames with their source, and the hint, for people; ends with a newline.
  std::string rendered() const;

  /// The same as data; the keys are stable for one value of "schema".
  Json to_json() const;

 private:
  struct Said {
    Data data;
    std::string what;
  };
  std::shared_ptr<const Said> said_;
};

}  // namespace pyhost
