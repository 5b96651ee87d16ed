// The fast reader of JSON text: simdjson finds the structure, this builds the objects.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "python/python.hpp"
#include "python/str.hpp"

namespace pyhost::detail {

/// Reads texts one after the other, and keeps the memory that it takes for texts of common size.
class Reader {
 public:
  Reader();
  ~Reader();
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  /// The dict of a text that is a JSON object. Null, with no error set, for any text that it will not read:
  /// one that is no JSON, and some that are; the strict reader has the last word.
  py::object read(std::string_view text, Keys& keys);

 private:
  struct Structure;
  std::unique_ptr<Structure> structure_;
  std::unique_ptr<PyObject*[]> values_;
  std::size_t room_ = 0;
  std::string unescaped_;
};

}  // namespace pyhost::detail
