// Reads tracebacks and strs from Python's own structures. No Python code runs.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "error/source_lines.hpp"
#include "pyhost/error.hpp"
#include "python/python.hpp"

namespace pyhost::detail {

/// Returns a str as valid UTF-8, with secrets masked and lone surrogates as \udXXX. A str of more than
/// `limit` characters is cut, and says so at its end. Empty if the object is not a str.
std::string text_of(PyObject* str, std::size_t limit);

/// Calls `take` with the indices of the first `each` and the last `each` of `size` items. Returns how many
/// items between them were left out.
template <class Take>
std::size_t take_both_ends(std::size_t size, std::size_t each, Take take) {
  const std::size_t left_out = size > 2 * each ? size - 2 * each : 0;
  for (std::size_t i = 0; i < size; ++i) {
    if (left_out > 0 && i == each) i += left_out;
    take(i);
  }
  return left_out;
}

/// Adds the frames of a traceback to the exception, with repeated recursion folded. `sources` may be null.
void read_traceback(PyObject* traceback, SourceFiles* sources, PythonException& into);

}  // namespace pyhost::detail
