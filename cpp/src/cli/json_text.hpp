// Converts values to JSON text. All of it is compiled in json_text.cpp, because code that uses Json takes
// long to compile.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "pyhost/error.hpp"
#include "pyhost/json.hpp"

namespace pyhost::cli {

/// Returns the text as a JSON string, quoted.
std::string json_string(std::string_view text);

/// Returns "key":value as a member of a JSON object. A value that is not JSON becomes a JSON string. Returns
/// nothing if the key or the value is not UTF-8.
std::optional<std::string> json_member(const std::string& key, const std::string& value);

/// Returns the error as a JSON object.
std::string error_json(const Error& error);

/// Returns the document {"schema":1,"error":…}.
std::string error_document(const Error& error);

/// Returns the document of one run: its module's name, its result or error, and how long it took. `key` is
/// "result" or "error", and `json` the value of that key.
std::string run_document(const std::string& name, const std::string& key, const std::string& json,
                         double seconds);

/// Returns the time as a JSON number with six decimals.
std::string seconds_text(double seconds);

}  // namespace pyhost::cli
