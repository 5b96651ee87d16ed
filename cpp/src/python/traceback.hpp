// A traceback as frames, and text as Python has it: read from Python's own structures, never by its code.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "error/source_lines.hpp"
#include "pyhost/error.hpp"
#include "python/python.hpp"

namespace pyhost::detail {

/// A str as valid UTF-8, without secrets, in which lone surrogates are \udXXX, cut at so many characters, and
/// then it says so. Empty for what is no str.
std::string text_of(PyObject* str, std::size_t limit);

/// The first and the last `each` of `size` things are taken; gives how many between them are left out.
template <class Take>
std::size_t take_both_ends(std::size_t size, std::size_t each, Take take) {
  const std::size_t left_out = size > 2 * each ? size - 2 * each : 0;
  for (std::size_t i = 0; i < size; ++i) {
    if (left_out > 0 && i == each) i += left_out;
    take(i);
  }
  return left_out;
}

/// Puts the frames of a traceback, recursion folded, into the exception; `sources` may be null.
void read_traceback(PyObject* traceback, SourceFiles* sources, PythonException& into);

}  // namespace pyhost::detail
