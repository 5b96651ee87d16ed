// Errors as plain data that needs no Python.
#pragma once

#include <cstddef>
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "pyhost/json_fwd.hpp"

namespace pyhost {

/// The kind of an error. It tells who can fix it: the user, the author of the module, or the application.
enum class ErrorKind {
  StartupFailed,    ///< Python or pyhost could not start: fix the installation or the options.
  InvalidName,      ///< The name is not a valid module or service name.
  InvalidState,     ///< The state is not a JSON object, or cannot be converted to Python.
  ModuleNotFound,   ///< No module path contains the module.
  ImportFailed,     ///< The module was found, but its import raised, or it exists twice.
  BadContract,      ///< `create` or `run` is missing, or cannot be called as the contract requires.
  ModuleRaised,     ///< The module raised, for example in `create` or `run`. SystemExit counts, too.
  InvalidResult,    ///< The return value of `run` cannot be represented exactly in JSON.
  TimedOut,         ///< The run did not end before its deadline.
  Cancelled,        ///< The application cancelled the run.
  WorkerCrashed,    ///< The run's worker process crashed, exited, or broke the connection.
  HostClosed,       ///< Something that the call needs is closed or not accessible; see Error::closed().
  InvalidEngine,    ///< The engine of a pool, or one of its workers, cannot be used.
  InvalidSchedule,  ///< The schedule, one of its entries or its database cannot be used.
  Unreachable,      ///< The database of a schedule, or an engine, cannot be reached: try again later.
};

/// The thing that is closed or not accessible, in a HostClosed error.
enum class Closed {
  Nothing,           ///< The error is of another kind.
  Host,              ///< The host is closed.
  Module,            ///< The module has been unloaded.
  Instance,          ///< The instance has been closed.
  Handle,            ///< The handle has been moved from.
  Pool,              ///< The pool is closed.
  OtherInterpreter,  ///< The host belongs to another interpreter than the calling thread.
  Forked,            ///< This process was forked from the one that runs Python.
  Python,            ///< The application has finalized Python.
  Process,           ///< The process is exiting.
};

/// The step that failed.
enum class Phase {
  Start,   ///< Starting pyhost or Python.
  Find,    ///< Searching the module paths.
  Import,  ///< Importing the module, and calling its `on_load()`.
  Create,  ///< Converting the state, and calling `create()`.
  Run,     ///< Calling `run()`.
  Result,  ///< Converting the result.
  Close,   ///< Closing an instance or unloading a module. Also using something that is closed.
};

/// The origin of a line of Python code.
enum class Origin {
  Module,     ///< The module, or other code of the application.
  Library,    ///< The standard library, or an installed package.
  Machinery,  ///< Python's import system, or pyhost's own Python files.
};

/// The relation of an exception to the one before it in a chain.
enum class Link {
  None,     ///< It is the first one.
  Cause,    ///< The one before it was raised by `raise … from` this one.
  Context,  ///< The one before it was raised while this one was handled.
};

/// Returns the enumerator's name, as in "ModuleNotFound".
std::string_view to_string(ErrorKind kind) noexcept;

/// Returns the enumerator's name in lower case, as in "import" and "other interpreter".
std::string_view to_string(Phase phase) noexcept;
std::string_view to_string(Closed closed) noexcept;
std::string_view to_string(Origin origin) noexcept;
std::string_view to_string(Link link) noexcept;

/// One frame of a Python traceback.
struct Frame {
  std::string file = {};      ///< The file, as Python names it.
  int line = 0;               ///< The line number, from 1, or 0 if it is not known.
  std::string function = {};  ///< The function, or empty for a syntax error or a broken contract.
  std::string source = {};    ///< The source line, cut at 200 characters, or empty if it cannot be read.
  /// The first column of the expression in `source`, in characters from 1, or 0 if it is not known.
  int column = 0;
  int end_column = 0;       ///< The column after the end of the expression, at most one after `source`.
  int repeated_frames = 0;  ///< In a recursion, the length of the repeating cycle of frames that ends here.
  int repeated_times = 0;   ///< How many more times the cycle was repeated. Those frames are not listed.
};

/// Returns the origin of a frame, which depends only on the name of its file.
Origin origin_of(const Frame& frame) noexcept;

/// A Python exception as plain data. Its size is limited, whatever Python raised.
struct PythonException {
  std::string type = {};                ///< The qualified class name, as in "json.decoder.JSONDecodeError".
  std::string message = {};             ///< The exception's `str()`, as valid UTF-8, cut at 64 KiB.
  std::string import_name = {};         ///< The `name` of an ImportError, as in "numpy.linalg".
  std::vector<std::string> notes = {};  ///< Texts from `add_note()`, at most 20.
  /// The traceback, outermost frame first. Repeated frames of a recursion are listed once. Of more than 100
  /// frames, the first and last 50 are kept.
  std::vector<Frame> frames = {};
  std::size_t frames_left_out = 0;  ///< The number of frames left out in the middle.
  Link link = Link::None;           ///< The relation to the exception before it in a chain.
  /// The cause or context of this exception, then that one's cause or context, and so on. Their own chains
  /// are empty. Of more than 20, the first and last 10 are kept.
  std::vector<PythonException> chain = {};
  std::size_t chain_left_out = 0;  ///< The number of exceptions left out in the middle of the chain.
  /// The first 20 exceptions of an exception group, nested at most 10 levels.
  std::vector<PythonException> members = {};
  std::size_t members_left_out = 0;  ///< The number of further exceptions of the group.
};

/// How Error::rendered() formats an error for people.
struct Rendering {
  bool colour = false;  ///< Whether to use the colours of a terminal.
  /// Whether to show also the frames of the import machinery, and long messages in full.
  bool verbose = false;
};

/// The exception that this library throws. It is plain data without references to Python.
/// Thread: any. Copies share the data.
class Error : public std::exception {
 public:
  /// The contents of an error. Members that do not apply are empty.
  struct Data {
    ErrorKind kind = ErrorKind::StartupFailed;  ///< The kind of the error.
    Phase phase = Phase::Start;                 ///< The step that failed.
    std::string module = {};                    ///< The name of the module, as the caller wrote it.
    std::string message = {};                   ///< A description of the failure, in one sentence.
    std::string pointer = {};         ///< JSON pointer (RFC 6901) to the value in the state or result.
    std::string hint = {};            ///< A suggestion how to fix it.
    Frame place = {};                 ///< The line to look at, by default taken from `exception`.
    PythonException exception = {};   ///< The Python exception. Its `type` is empty if there is none.
    Closed closed = Closed::Nothing;  ///< The thing that is closed, for HostClosed.
    int signal = 0;                   ///< The signal that ended the worker, for WorkerCrashed, or 0.
  };

  /// Creates an error. Secrets of connections are masked in message, pointer and hint.
  explicit Error(Data data);

  /// Returns the kind of the error.
  ErrorKind kind() const noexcept { return said_->data.kind; }

  /// Returns the step that failed.
  Phase phase() const noexcept { return said_->data.phase; }

  /// Returns the name of the module, or an empty string.
  const std::string& module() const noexcept { return said_->data.module; }

  /// Returns a description of the failure, in one sentence.
  const std::string& message() const noexcept { return said_->data.message; }

  /// Returns a JSON pointer (RFC 6901) to the value in the state or the result, or an empty string.
  const std::string& pointer() const noexcept { return said_->data.pointer; }

  /// Returns a suggestion how to fix it, or an empty string.
  const std::string& hint() const noexcept { return said_->data.hint; }

  /// Returns the Python exception. Its `type` is empty if there is none.
  const PythonException& exception() const noexcept { return said_->data.exception; }

  /// Returns the thing that is closed or not accessible, for HostClosed.
  Closed closed() const noexcept { return said_->data.closed; }

  /// Returns the signal that ended the worker process, for WorkerCrashed, or 0. to_json() does not contain
  /// it.
  int signal() const noexcept { return said_->data.signal; }

  /// Returns the line to look at: where the contract is broken, or the innermost line of the module's own
  /// code in a traceback. Its `file` is empty if there is none.
  const Frame& place() const noexcept { return said_->data.place; }

  /// Returns message, place, cause and hint in one paragraph, without control characters.
  const char* what() const noexcept override { return said_->what.c_str(); }

  /// Returns a full report for people: the message, then the module's own frames with their source lines, the
  /// cause, the members of a group, notes and the hint. It ends with a newline. Control characters from
  /// Python are escaped.
  std::string rendered(const Rendering& how = {}) const;

  /// Returns the error as JSON. All keys are always present. They only change with the value of `schema`:
  ///
  ///     schema: 1
  ///     kind, phase, module, message, pointer, hint
  ///     closed: null, or the thing that is closed, as in "host"
  ///     place: a frame, or null
  ///     exception: null, or an object with
  ///       type, message, import_name, notes, frames, frames_left_out
  ///       chain, chain_left_out: exceptions that also have
  ///         link: "cause" or "context"
  ///       members, members_left_out: exceptions
  ///     a frame: file, line, function, source
  ///       origin: "module", "library" or "machinery"
  ///       column, end_column: null if not known
  ///       repeated: null, or an object with frames and times
  Json to_json() const;

 private:
  struct Said {
    Data data;
    std::string what;
  };
  std::shared_ptr<const Said> said_;
};

}  // namespace pyhost
