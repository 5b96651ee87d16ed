// The file of --trace: where the time of runs goes, for Perfetto (ui.perfetto.dev) and chrome://tracing.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <set>
#include <string>

#include "pyhost/span.hpp"

namespace CLI {
class App;
}

namespace pyhost {
struct Options;
}

namespace pyhost::cli {

/// Events of the Chrome trace-event format, one a line. It is written as it goes, and is whole at any time,
/// whatever ends the program. Any thread may add to it.
class Trace {
 public:
  /// Spans are written at once, or some thousands together, for who has very many.
  enum class Writing { AtOnce, Together };

  /// Begins the file; without a name there is none, and nothing is done at all. `title` names what is traced.
  /// Throws UsageError for a file that cannot be written.
  Trace(std::string file, const std::string& title, Writing how);
  ~Trace();
  Trace(const Trace&) = delete;
  Trace& operator=(const Trace&) = delete;

  /// Has the host's spans written, if there is a file.
  void listen_to(Options& options);

  void add(const Span& span);

  /// From the making of this until now, the host was opened.
  void add_start();

  /// Writes what is left. Throws OutputError if that could not be written, or something before.
  void end();

 private:
  void add_line(const std::string& line);
  void name_track(std::uint64_t track, const std::string& name);
  void write() noexcept;
  double microseconds(std::chrono::steady_clock::time_point time) const;

  std::string file_;
  Writing how_;
  int descriptor_ = -1;
  bool moves_ = false;  // a pipe does not: what is written there stays
  int failed_ = 0;      // errno

  std::mutex mutex_;
  std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
  std::set<std::uint64_t> named_;
  std::string text_;
  std::int64_t written_ = 0;
  bool first_ = true;
};

/// Throws UsageError if the trace would be written over the results that -o names.
void keep_results(const std::string& output, const std::string& trace);

/// Adds --trace.
void add_trace_argument(CLI::App& command, std::string& file);

}  // namespace pyhost::cli
