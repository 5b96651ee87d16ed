// Lets a program be the worker process of its own pools.
#pragma once

#include <optional>

#include "pyhost/installation.hpp"

namespace pyhost {

/// To be called first in main(), before the program has threads. If a pool has started this process as its
/// worker, makes the runs that the pool asks for, and gives the exit code for main() to return once the pool
/// is closed; nothing if the program was started by anybody else. See PoolOptions::worker.
std::optional<int> worker_main(int argc, char** argv);

}  // namespace pyhost
