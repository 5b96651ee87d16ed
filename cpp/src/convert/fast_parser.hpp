// The fast parser of JSON text: simdjson finds the structure, this builds the objects.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "python/py_string.hpp"
#include "python/python.hpp"

namespace pyhost::detail {

/// Reads texts one after the other, and keeps the memory that it takes for texts of common size.
class FastParser {
 public:
  FastParser();
  ~FastParser();
  FastParser(const FastParser&) = delete;
  FastParser& operator=(const FastParser&) = delete;

  /// The dict of a text that is a JSON object. Null, with no error set, for any text that it will not read:
  /// one that is no JSON, and some that are; the strict parser has the last word.
  py::object parse(std::string_view text, KeyCache& keys);

 private:
  struct Structure;
  std::unique_ptr<Structure> structure_;
  std::unique_ptr<PyObject*[]> values_;
  std::size_t room_ = 0;
  std::string unescaped_;
};

}  // namespace pyhost::detail
