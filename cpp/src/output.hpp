// sys.stdout and sys.stderr: in order with all else that writes there, flushed only if something is held
// back.
#pragma once

#include <stdio_ext.h>

#include <atomic>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "pyhost/options.hpp"
#include "python.hpp"

namespace pyhost::detail {

/// Makes the streams of a fresh interpreter write line by line, so that what Python code, C code and child
/// processes print comes out in its order, also into a pipe. The caller holds the GIL.
void order_output();

/// Whether a stream of the main interpreter's may hold something back. Only ever set by a write and cleared
/// by a flush: a flush too many is harmless, and none is left out.
inline std::atomic<bool> written = false;

/// Whether a redirected stream holds back the beginning of a line of this thread's.
inline constinit thread_local bool holds_line = false;

/// What it is given, with what is held back written out; null with Python's error set if that fails.
py::object flushed(py::object returned);

/// What a call into a module returned, with what it printed written out; null with Python's error set if that
/// fails. Costs a few tests if nothing is held back. The caller holds the GIL.
inline py::object with_output_flushed(PyObject* returned) {
  py::object result = own(returned);
  if (!written.load(std::memory_order_relaxed) && !holds_line && __fpending(stdout) == 0) [[likely]]
    return result;
  return flushed(std::move(result));
}

/// Writes out all that Python's and C's streams hold back, whatever a module has put in their place; tells
/// stderr if that fails. The caller holds the GIL.
void flush_output() noexcept;

/// The module that this thread runs; on a thread of a module's own, the one whose function is the outermost.
/// The caller holds the GIL.
std::string running_module();

/// Where redirected text ends: in the function, or else in the process's own streams, a line at a time.
struct Sink;
std::shared_ptr<Sink> make_sink(std::function<void(const Output&)> function);

/// Calls the sink's function, one call at a time; what it throws goes through. The caller holds no GIL.
void give(Sink& sink, const Output& output);

/// Calls the function no more once it returns.
void close_sink(Sink& sink);

/// Gives what Python code of this interpreter writes to the sink, for as long as it lives. The caller holds
/// the GIL.
class Redirection {
 public:
  explicit Redirection(std::shared_ptr<Sink> sink);
  ~Redirection();
  Redirection(const Redirection&) = delete;
  Redirection& operator=(const Redirection&) = delete;

 private:
  struct Stream {
    const char* name;
    py::object before;
  };
  std::shared_ptr<Sink> sink_;
  Stream stdout_{"stdout", {}};
  Stream stderr_{"stderr", {}};
};

}  // namespace pyhost::detail
