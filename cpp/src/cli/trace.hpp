// Writes the file of --trace: spans for Perfetto (ui.perfetto.dev) and chrome://tracing.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <set>
#include <string>

#include "pyhost/span.hpp"

namespace pyhost {
struct Options;
}

namespace pyhost::cli {

/// Writes spans in the Chrome trace-event format, one event per line. The file is complete after each write,
/// even if the program crashes. Thread: any.
class Trace {
 public:
  /// Immediate writes each span at once. Buffered writes thousands together, for a command with very many
  /// spans.
  enum class Writing { Immediate, Buffered };

  /// Creates the file. If its name is empty, there is no trace and all calls do nothing. `title` is the title
  /// of the trace. Only the first `max_runs` runs are traced; 0 means all. Throws: UsageError if the file
  /// cannot be written.
  Trace(std::string file, const std::string& title, Writing how, std::size_t max_runs = 0);
  ~Trace();
  Trace(const Trace&) = delete;
  Trace& operator=(const Trace&) = delete;

  /// Sets Callbacks::on_span if there is a file.
  void listen_to(Options& options);

  void add(const Span& span);

  /// Adds the span in which the host was opened, from the construction of this object until now.
  void add_start();

  /// Writes the spans that are still buffered. Throws: OutputError if this or an earlier write failed.
  void end();

 private:
  bool is_left_out(const Span& span);
  void add_line(const std::string& line);
  void name_track(std::uint64_t track, const std::string& name);
  void write() noexcept;
  double microseconds(std::chrono::steady_clock::time_point time) const;

  std::string file_;
  Writing how_;
  int descriptor_ = -1;
  std::size_t max_runs_;
  bool full_ = false;      // whether a run was left out
  bool seekable_ = false;  // false for a pipe
  int failed_ = 0;         // errno of a failed write

  std::mutex mutex_;
  std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
  std::set<std::uint64_t> named_;
  std::string text_;
  std::int64_t written_ = 0;
  bool first_ = true;
};

/// Throws: UsageError if -o and --trace name the same file.
void refuse_trace_over_output(const std::string& output, const std::string& trace);

}  // namespace pyhost::cli
