// Counts the instructions of calls when the program runs under callgrind, as in `./dev bench --count`.
#pragma once

#include <valgrind/callgrind.h>

#include <cstddef>
#include <memory>
#include <vector>

#include "bare.hpp"

namespace pyhost::bench {

/// Whether calls are counted instead of timed.
inline bool counting() { return RUNNING_ON_VALGRIND != 0; }

/// Fills the holes of the heap. Otherwise the way to a free block depends on the sizes of earlier blocks,
/// even of paths.
inline void fill_heap() {
  static std::vector<std::unique_ptr<char[]>> blocks;
  for (std::size_t size = 65536; size >= 64; size /= 2) {
    for (int i = 0; i < 200; ++i) blocks.emplace_back(new char[size]);
  }
}

/// Lets callgrind write the instructions of 200 calls to a file. The calls before them fill caches and let
/// Python specialize its code. The garbage collection makes the count independent of what was allocated
/// before.
template <class Action>
void count(Action& action) {
  {
    const Gil gil;
    PyGC_Collect();
  }
  fill_heap();
  constexpr int calls = 200;
  for (int i = 0; i < calls; ++i) action();
  CALLGRIND_START_INSTRUMENTATION;
  CALLGRIND_ZERO_STATS;
  for (int i = 0; i < calls; ++i) action();
  CALLGRIND_DUMP_STATS;
  CALLGRIND_STOP_INSTRUMENTATION;
}

}  // namespace pyhost::bench
