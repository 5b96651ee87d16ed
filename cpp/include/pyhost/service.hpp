// What a host offers its modules to call.
#pragma once

#include <functional>

#include "pyhost/json_fwd.hpp"

namespace pyhost {

/// Does what a module asked for by `services.<name>(…)`, and gives the answer: the arguments are a JSON
/// object, the answer is any JSON value. Is called on the thread of the module, without the GIL, by several
/// threads at once if several modules ask, and may run modules itself, to 100 calls within each other. What
/// it throws is a pyhost.ServiceError in the module, and the same exception again for whoever called the
/// module if nothing in there caught it.
using Service = std::function<Json(const Json& arguments)>;

}  // namespace pyhost
