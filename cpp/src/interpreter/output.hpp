// Keeps the output of sys.stdout and sys.stderr in order with other output, and flushes it only if something
// is buffered.
#pragma once

#include <stdio_ext.h>

#include <cstdio>

#include "python/python.hpp"

namespace pyhost::detail {

/// Makes sys.stdout and sys.stderr of a new interpreter write line by line, so that the output of Python
/// code, C code and child processes stays in order, even into a pipe. Lines of any length stay whole if
/// several threads and processes of pyhost print into one file. The caller holds the GIL.
void order_output();

/// Whether a stream may buffer the beginning of a line of this thread. A write sets it and a flush clears it.
/// It may be set without need, but is never missing.
inline constinit thread_local bool holds_line = false;

/// Flushes sys.stdout, sys.stderr and C's stdout. Returns false with Python's error set if that fails. The
/// caller holds the GIL.
bool flush_streams();

/// Flushes the streams and returns its argument, whose reference it steals. Returns null with Python's error
/// set if that fails.
PyObject* flushed(PyObject* returned);

/// Flushes the streams after a call into a module, and returns the result of the call, a new reference that
/// it steals. Returns null with Python's error set if that fails. Does next to nothing if nothing is
/// buffered. The caller holds the GIL.
[[gnu::always_inline]] inline py::object with_output_flushed(PyObject* returned) {
  const bool buffered = holds_line || __fpending(stdout) != 0;
  if (buffered) [[unlikely]]
    returned = flushed(returned);
  return steal(returned);
}

/// Flushes all streams of Python and C, even if a module has replaced them. Reports failures on stderr. The
/// caller holds the GIL.
void flush_output() noexcept;

/// Like flush_output(), and also writes the unfinished lines of all threads. For the end of the process.
void flush_output_of_all_threads() noexcept;

}  // namespace pyhost::detail
