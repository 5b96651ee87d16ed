// Reads a TOML file into plain data, with the line of each value. Only one file includes toml++, because it
// takes long to compile.
#pragma once

#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pyhost/json.hpp"

namespace pyhost::detail {

/// A table, an array, or a scalar value.
struct TomlValue {
  enum class Kind {
    Table,
    Array,
    Scalar,  ///< A string, number or boolean, in `scalar`.
    Other,   ///< A value that JSON does not have: a date or time, with its text in `scalar`, or inf or nan,
             ///< with null in `scalar`.
  };
  Kind kind = Kind::Table;
  int line = 0;  ///< From 1.
  Json scalar = {};
  std::vector<std::pair<std::string, TomlValue>> members = {};  ///< Of a table, in the order of the file.
  std::vector<TomlValue> elements = {};                         ///< Of an array.

  bool is_table() const noexcept { return kind == Kind::Table; }
  bool is_array() const noexcept { return kind == Kind::Array; }

  /// Returns the member of a table. Null if it has no member of this name, or if this is not a table.
  const TomlValue* find(std::string_view name) const noexcept;

  /// Returns the string. Null if this is not a string.
  const std::string* string() const noexcept;
};

/// Thrown if the file cannot be read or is not TOML. what() begins with the file and, if known, the line.
class TomlError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Returns the top-level table of the file.
/// Throws: TomlError.
TomlValue read_toml_file(const std::filesystem::path& file);

/// Thrown for a value that JSON does not have.
struct NotJson {
  int line;
};

/// Returns the value as Json.
/// Throws: NotJson.
Json json_of(const TomlValue& value);

}  // namespace pyhost::detail
