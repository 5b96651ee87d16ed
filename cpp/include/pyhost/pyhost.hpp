// pyhost: run Python modules from C++, JSON in, JSON out. The table of contents, from the ground up.
#pragma once

// Values, errors and what is told about runs: plain data.
#include "pyhost/buffer.hpp"       // IWYU pragma: export
#include "pyhost/environment.hpp"  // IWYU pragma: export
#include "pyhost/error.hpp"        // IWYU pragma: export
#include "pyhost/event.hpp"        // IWYU pragma: export
#include "pyhost/json.hpp"         // IWYU pragma: export
#include "pyhost/log.hpp"          // IWYU pragma: export
#include "pyhost/span.hpp"         // IWYU pragma: export
#include "pyhost/survey.hpp"       // IWYU pragma: export

// How a host is opened and how a run is made.
#include "pyhost/options.hpp"      // IWYU pragma: export
#include "pyhost/run_options.hpp"  // IWYU pragma: export
#include "pyhost/service.hpp"      // IWYU pragma: export

// A host, its modules and what they return; then many runs at once.
#include "pyhost/host.hpp"    // IWYU pragma: export
#include "pyhost/module.hpp"  // IWYU pragma: export
#include "pyhost/pool.hpp"    // IWYU pragma: export
#include "pyhost/runs.hpp"    // IWYU pragma: export
#include "pyhost/stream.hpp"  // IWYU pragma: export

// What is there before a host is: a look at its Python, and calls for the start of main().
#include "pyhost/doctor.hpp"       // IWYU pragma: export
#include "pyhost/python_main.hpp"  // IWYU pragma: export
#include "pyhost/worker_main.hpp"  // IWYU pragma: export
