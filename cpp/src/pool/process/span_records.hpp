// Spans of a worker process on their way to its pool.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "pool/run_queue.hpp"
#include "run/spans.hpp"

namespace pyhost::detail {

/// What the pool does not know of a span; times are by the steady clock, in nanoseconds.
struct SpanRecord {
  std::int64_t begin;
  std::int64_t end;
  std::uint64_t run;
  std::uint32_t kind;
  std::uint32_t failed;
};

std::vector<SpanRecord> records_of(const std::vector<Span>& spans);

/// Their bytes.
std::string_view bytes_of(const std::vector<SpanRecord>& records) noexcept;

/// Tells the spans of one worker process, on the thread that watches it.
class ProcessSpans {
 public:
  using Clock = std::chrono::steady_clock;

  /// `on_span` has to outlive it.
  explicit ProcessSpans(const OnSpan& on_span) : on_span_(on_span) {}

  /// Whether anybody wants them.
  explicit operator bool() const noexcept { return static_cast<bool>(on_span_); }

  void started(Clock::time_point begun, std::uint64_t ready) const;
  void sent(const std::string& module, std::size_t runs, Clock::time_point begun) const;

  /// Those of a run that this process of the pools has made. Throws BrokenFrame for what are no SpanRecords.
  void made(const Job& job, std::uint64_t process, std::string_view records) const;

  /// Of a run that was lost with its worker all that is known is when it began.
  void lost(const Job& job, Clock::time_point begun) const;

 private:
  const OnSpan& on_span_;
};

}  // namespace pyhost::detail
