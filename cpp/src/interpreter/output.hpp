// sys.stdout and sys.stderr: in order with all else that writes there, flushed only if something is held
// back.
#pragma once

#include <stdio_ext.h>

#include <atomic>
#include <cstdio>
#include <utility>

#include "python/python.hpp"

namespace pyhost::detail {

/// Makes the streams of a fresh interpreter write line by line, so that what Python code, C code and child
/// processes print comes out in its order, also into a pipe. The caller holds the GIL.
void order_output();

/// Whether a stream of the main interpreter's may hold something back. Only ever set by a write and cleared
/// by a flush: a flush too many is harmless, and none is left out.
inline std::atomic<bool> written = false;

/// Whether a redirected stream holds back the beginning of a line of this thread's.
inline constinit thread_local bool holds_line = false;

/// Writes out what sys.stdout, sys.stderr and C's stdout hold back. False with Python's error set if that
/// fails. The caller holds the GIL.
bool flush_streams();

/// What it is given, with what is held back written out; null with Python's error set if that fails.
py::object flushed(py::object returned);

/// What a call into a module returned, with what it printed written out; null with Python's error set if that
/// fails. Costs a few tests if nothing is held back. The caller holds the GIL.
inline py::object with_output_flushed(PyObject* returned) {
  py::object result = steal(returned);
  if (!written.load(std::memory_order_relaxed) && !holds_line && __fpending(stdout) == 0) [[likely]]
    return result;
  return flushed(std::move(result));
}

/// Writes out all that Python's and C's streams hold back, whatever a module has put in their place; tells
/// stderr if that fails. The caller holds the GIL.
void flush_output() noexcept;

}  // namespace pyhost::detail
