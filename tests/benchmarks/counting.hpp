// Counts the instructions of calls when the program runs under callgrind, as in `./dev bench --count`.
#pragma once

#include <valgrind/callgrind.h>

#include <string>

#include "bare.hpp"

namespace pyhost::bench {

/// Whether calls are counted instead of timed.
inline bool counting() { return RUNNING_ON_VALGRIND != 0; }

/// Writes the instructions of 200 calls to callgrind's file, under this name. The calls before them fill
/// caches and let Python specialize its code. The garbage collection makes the count independent of earlier
/// benchmarks.
template <class Action>
void count(const std::string& name, Action& action) {
  {
    const Gil gil;
    PyGC_Collect();
  }
  constexpr int calls = 200;
  for (int i = 0; i < calls; ++i) action();
  CALLGRIND_START_INSTRUMENTATION;
  CALLGRIND_ZERO_STATS;
  for (int i = 0; i < calls; ++i) action();
  CALLGRIND_DUMP_STATS_AT(name.c_str());
  CALLGRIND_STOP_INSTRUMENTATION;
}

}  // namespace pyhost::bench
