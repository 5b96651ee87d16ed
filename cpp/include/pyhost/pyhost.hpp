// pyhost runs Python modules from C++: JSON in, JSON out. This header includes all others, in the order of
// their dependencies.
#pragma once

// clang-format off: each header stands below those that it includes
#include "pyhost/json_fwd.hpp"     // IWYU pragma: export
#include "pyhost/fwd.hpp"          // IWYU pragma: export
#include "pyhost/json.hpp"         // IWYU pragma: export
#include "pyhost/error.hpp"        // IWYU pragma: export
#include "pyhost/event.hpp"        // IWYU pragma: export
#include "pyhost/span.hpp"         // IWYU pragma: export
#include "pyhost/log.hpp"          // IWYU pragma: export
#include "pyhost/buffer.hpp"       // IWYU pragma: export
#include "pyhost/state.hpp"        // IWYU pragma: export
#include "pyhost/result.hpp"       // IWYU pragma: export
#include "pyhost/environment.hpp"  // IWYU pragma: export
#include "pyhost/survey.hpp"       // IWYU pragma: export

#include "pyhost/options.hpp"      // IWYU pragma: export
#include "pyhost/run_options.hpp"  // IWYU pragma: export
#include "pyhost/service.hpp"      // IWYU pragma: export
#include "pyhost/stream.hpp"       // IWYU pragma: export
#include "pyhost/module.hpp"       // IWYU pragma: export
#include "pyhost/host.hpp"         // IWYU pragma: export
#include "pyhost/runs.hpp"         // IWYU pragma: export
#include "pyhost/pool.hpp"         // IWYU pragma: export
#include "pyhost/scheduler.hpp"    // IWYU pragma: export

#include "pyhost/doctor.hpp"       // IWYU pragma: export
#include "pyhost/main.hpp"         // IWYU pragma: export
