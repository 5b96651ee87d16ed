// What went wrong and where, as plain data that needs no Python.
#pragma once

#include <cstddef>
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "pyhost/json_fwd.hpp"

namespace pyhost {

/// The kind says who must fix it.
enum class ErrorKind {
  StartupFailed,    ///< Python or pyhost could not start: fix the installation or the options.
  InvalidName,      ///< No module or service can have this name.
  InvalidState,     ///< The state is not a JSON object, or Python cannot have it.
  ModuleNotFound,   ///< No module path has the module.
  ImportFailed,     ///< The module is there, but importing it raised, or it is there twice.
  BadContract,      ///< `create` or `run` is missing or cannot be called as the contract says.
  ModuleRaised,     ///< The module raised in `create` or `run`, SystemExit and KeyboardInterrupt included.
  InvalidResult,    ///< What `run` returned has no exact form in JSON.
  TimedOut,         ///< The run was not over by its deadline.
  Cancelled,        ///< The application cancelled the run.
  WorkerCrashed,    ///< The worker process of the run ended: it crashed, left, or broke the connection.
  HostClosed,       ///< Something that the call needs is closed or out of reach; closed() says what.
  InvalidEngine,    ///< The engine of a pool cannot be used as it is, or one of its workers.
  InvalidSchedule,  ///< The schedule, an entry of it or its database cannot be used as it is.
  Unreachable,      ///< The database of a schedule or an engine cannot be reached: try again later.
};

/// What a HostClosed error is about.
enum class Closed {
  Nothing,           ///< The error is of another kind.
  Host,              ///< The host is closed.
  Module,            ///< The module has been unloaded.
  Instance,          ///< The object has been closed.
  Handle,            ///< The handle has been moved from.
  Pool,              ///< The pool is closed.
  OtherInterpreter,  ///< The host is in another interpreter than this thread.
  Forked,            ///< This process was forked from the one that runs Python.
  Python,            ///< The application has ended Python.
  Process,           ///< The process is ending.
};

/// The step during which it went wrong.
enum class Phase { Start, Find, Import, Create, Run, Result, Close };

/// Whose code a line is: the module's (or the application's), a library's, or the machinery's: what imports
/// modules, and pyhost's own Python files.
enum class Origin { Module, Library, Machinery };

/// How an exception led to the one before it in a chain: `raise … from` it, or raised while handling it.
enum class Link { None, Cause, Context };

/// The enumerator's name, as in "ModuleNotFound".
std::string_view to_string(ErrorKind kind) noexcept;

/// The enumerator's name in lower case, as in "import" and "other interpreter".
std::string_view to_string(Phase phase) noexcept;
std::string_view to_string(Closed closed) noexcept;
std::string_view to_string(Origin origin) noexcept;
std::string_view to_string(Link link) noexcept;

/// One line of Python code on the way to an exception.
struct Frame {
  std::string file = {};      ///< As Python names it.
  int line = 0;               ///< From 1; 0 if not known.
  std::string function = {};  ///< Empty for the place of a syntax error or of a broken contract.
  std::string source = {};    ///< The line as the file has it, cut at 200 characters; empty if not readable.
  int column = 0;      ///< Where in `source` the expression begins: in characters from 1; 0 if not known.
  int end_column = 0;  ///< One after its end; at most one after the end of the line.
  int repeated_frames = 0;  ///< Of a recursion: the length of the cycle of frames that ends here.
  int repeated_times = 0;   ///< How often that cycle came again, without being listed.
};

/// Decided by the name of the file alone.
Origin origin_of(const Frame& frame) noexcept;

/// A Python exception as text: nothing in it refers to Python any more. All of it has a bounded size,
/// whatever the exception had.
struct PythonException {
  std::string type = {};         ///< Qualified, as in "json.decoder.JSONDecodeError"; builtins by bare name.
  std::string message = {};      ///< `str()` of it as valid UTF-8, cut at 64 KiB.
  std::string import_name = {};  ///< What an ImportError is about, as in "numpy.linalg".
  std::vector<std::string> notes = {};  ///< Of `add_note()`; at most 20.
  std::vector<Frame> frames =
      {};  ///< Outermost first, recursion folded; of more than 100 the first and last 50.
  std::size_t frames_left_out = 0;  ///< Between those.
  Link link = Link::None;           ///< To the one before it, if it is in a chain.
  /// Its cause or context, then that one's, and so on; of more than 20 the first and last 10. They have
  /// no chain of their own.
  std::vector<PythonException> chain = {};
  std::size_t chain_left_out = 0;  ///< Between those.
  /// Of an exception group, the first 20, and no more than 10 levels deep.
  std::vector<PythonException> members = {};
  std::size_t members_left_out = 0;  ///< After those.
};

/// How an error is written for people.
struct Rendering {
  bool colour = false;   ///< With the escapes of a terminal.
  bool verbose = false;  ///< Also the frames of the import machinery, and long messages in full.
};

/// The one exception of this library; it may be copied, kept and sent to any thread.
class Error : public std::exception {
 public:
  /// All that an error can say; what does not apply is empty.
  struct Data {
    ErrorKind kind = ErrorKind::StartupFailed;
    Phase phase = Phase::Start;
    std::string module = {};          ///< The name that was asked for.
    std::string message = {};         ///< What happened, in one sentence.
    std::string pointer = {};         ///< JSON pointer (RFC 6901) of the value in state or result.
    std::string hint = {};            ///< What to do about it.
    Frame place = {};                 ///< Where; if empty, it is taken from the exception.
    PythonException exception = {};   ///< What Python raised; `type` is empty if it raised nothing.
    Closed closed = Closed::Nothing;  ///< Of HostClosed: what is closed.
    int signal = 0;                   ///< Of WorkerCrashed: what ended the worker; 0 if no signal did.
  };

  explicit Error(Data data);

  ErrorKind kind() const noexcept { return said_->data.kind; }
  Phase phase() const noexcept { return said_->data.phase; }
  const std::string& module() const noexcept { return said_->data.module; }
  const std::string& message() const noexcept { return said_->data.message; }
  const std::string& pointer() const noexcept { return said_->data.pointer; }
  const std::string& hint() const noexcept { return said_->data.hint; }
  const PythonException& exception() const noexcept { return said_->data.exception; }

  /// Of HostClosed: what is closed or out of reach.
  Closed closed() const noexcept { return said_->data.closed; }

  /// Of WorkerCrashed the signal that ended the worker; 0 if none did. As data, the message alone says so.
  int signal() const noexcept { return said_->data.signal; }

  /// The line to look at: of a broken contract where it is broken, of an exception the last line of the
  /// module's own. Its `file` is empty if there is none.
  const Frame& place() const noexcept { return said_->data.place; }

  /// Message, place, cause and hint in one paragraph without control characters.
  const char* what() const noexcept override { return said_->what.c_str(); }

  /// The whole of it for people, ending with a newline: the message, then the module's own frames with
  /// their source, cause, group members, notes and hint. What Python gave is made harmless for a terminal.
  std::string rendered(const Rendering& how = {}) const;

  /// The same as data. The keys are stable for one value of "schema", and all of them are always there:
  ///
  ///     schema 1, kind, phase, module, message, pointer, hint: as above
  ///     closed: null, or the name of what is closed, as in "host"
  ///     place: a frame, or null
  ///     exception: null, or an object with
  ///       type, message, import_name, notes, frames, frames_left_out: as above
  ///       chain, chain_left_out: exceptions, each with one more key, link: "cause" or "context"
  ///       members, members_left_out: exceptions
  ///     frame: file, line, function, source, origin ("module", "library", "machinery"),
  ///       column and end_column (null if not known),
  ///       repeated: null, or {"frames", "times"}
  Json to_json() const;

 private:
  struct Said {
    Data data;
    std::string what;
  };
  std::shared_ptr<const Said> said_;
};

}  // namespace pyhost
