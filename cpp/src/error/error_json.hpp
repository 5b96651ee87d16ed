// An Error on its way back from data.
#pragma once

#include "pyhost/error.hpp"
#include "pyhost/json_fwd.hpp"

namespace pyhost::detail {

/// The Error that gave this by its to_json(). Throws Json::exception if none did.
Error error_from_json(const Json& json);

/// The exception that is in such data.
PythonException exception_from_json(const Json& json);

}  // namespace pyhost::detail
