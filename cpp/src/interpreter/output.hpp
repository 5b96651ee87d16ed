// sys.stdout and sys.stderr: in order with all else that writes there, flushed only if something is held
// back.
#pragma once

#include <stdio_ext.h>

#include <cstdio>
#include <utility>

#include "python/python.hpp"

namespace pyhost::detail {

/// Makes the streams of a fresh interpreter write line by line, so that what Python code, C code and child
/// processes print comes out in its order, also into a pipe. The lines stay whole, whatever their length,
/// where several threads and processes of pyhost print into one. The caller holds the GIL.
void order_output();

/// Whether a stream may hold back the beginning of a line of this thread's. Set by a write and cleared by a
/// flush: a flush too many is harmless, and none is left out.
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
  if (!holds_line && __fpending(stdout) == 0) [[likely]]
    return result;
  return flushed(std::move(result));
}

/// Writes out all that Python's and C's streams hold back, whatever a module has put in their place; tells
/// stderr if that fails. The caller holds the GIL.
void flush_output() noexcept;

/// The same for the unfinished lines of all threads, at the end of the process.
void flush_output_of_all_threads() noexcept;

}  // namespace pyhost::detail
