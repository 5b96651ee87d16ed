// A TOML file as plain data, each value with its line. toml++ takes long to compile, so one file includes it.
#pragma once

#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pyhost/json.hpp"

namespace pyhost::detail {

/// A value of the file: a table, an array, or what JSON has as well.
struct TomlValue {
  enum class Kind {
    Table,
    Array,
    Scalar,  ///< A string, number or boolean, which `scalar` has.
    Other,   ///< JSON has no such value. `scalar` has the text of a date or time; it is null for inf and nan.
  };
  Kind kind = Kind::Table;
  int line = 0;  ///< From 1.
  Json scalar = {};
  std::vector<std::pair<std::string, TomlValue>> members = {};  ///< Of a table, in the order of the file.
  std::vector<TomlValue> elements = {};                         ///< Of an array.

  bool is_table() const noexcept { return kind == Kind::Table; }
  bool is_array() const noexcept { return kind == Kind::Array; }

  /// Returns the member of a table; null if it has none of this name, or if this is not a table.
  const TomlValue* find(std::string_view name) const noexcept;

  /// Returns the string; null if it is something else.
  const std::string* string() const noexcept;
};

/// The file cannot be read, or is not TOML. what() begins with the file, and with the line if one is known.
class TomlError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Throws: TomlError.
TomlValue read_toml_file(const std::filesystem::path& file);

/// A value that JSON does not have.
struct NotJson {
  int line;
};

/// Throws: NotJson.
Json json_of(const TomlValue& value);

}  // namespace pyhost::detail
