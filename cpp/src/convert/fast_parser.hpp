// The fast parser of JSON text. simdjson finds the tokens, and this code builds the Python objects.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "python/py_string.hpp"
#include "python/python.hpp"

namespace pyhost::detail {

/// Parses one text after the other. Keeps its memory for the next one, if the text was not unusually large.
class FastParser {
 public:
  FastParser();
  ~FastParser();
  FastParser(const FastParser&) = delete;
  FastParser& operator=(const FastParser&) = delete;

  /// Returns the dict of a text that is a JSON object. Returns null, without a Python error, for a text that
  /// it rejects: invalid JSON, and some valid JSON, too. Then the strict parser decides.
  py::object parse(std::string_view text, KeyCache& keys);

 private:
  struct Structure;
  std::unique_ptr<Structure> structure_;
  std::unique_ptr<PyObject*[]> values_;
  std::size_t room_ = 0;
  std::string unescaped_;
};

}  // namespace pyhost::detail
