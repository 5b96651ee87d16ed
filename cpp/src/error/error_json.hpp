// Reads an Error from Json.
#pragma once

#include "pyhost/error.hpp"
#include "pyhost/json_fwd.hpp"

namespace pyhost::detail {

/// Returns the Error whose to_json() returned this.
/// Throws: Json::exception if the data is invalid.
Error error_from_json(const Json& json);

/// Returns the exception that such data contains.
/// Throws: Json::exception if the data is invalid.
PythonException exception_from_json(const Json& json);

}  // namespace pyhost::detail
