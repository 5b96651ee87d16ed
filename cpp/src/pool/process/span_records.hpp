// The form in which a worker process sends spans to its pool.
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

/// The part of a span that only the worker knows. Times are by the steady clock, in nanoseconds.
struct SpanRecord {
  std::int64_t begin;
  std::int64_t end;
  std::uint64_t run;
  std::uint32_t kind;
  std::uint32_t failed;
};

std::vector<SpanRecord> records_of(const std::vector<Span>& spans);

/// Returns a view of the records' bytes.
std::string_view bytes_of(const std::vector<SpanRecord>& records) noexcept;

/// Reports the spans of one worker process, on the thread that supervises it.
class ProcessSpans {
 public:
  using Clock = std::chrono::steady_clock;

  /// `on_span` must outlive it.
  explicit ProcessSpans(const OnSpan& on_span) : on_span_(on_span) {}

  /// Whether there is an on_span.
  explicit operator bool() const noexcept { return static_cast<bool>(on_span_); }

  void started(Clock::time_point begun, std::uint64_t ready) const;
  void sent(const std::string& module, std::size_t runs, Clock::time_point begun) const;

  /// Reports the spans of a run that the worker process with this number has completed. Throws BrokenFrame if
  /// the bytes are not SpanRecords.
  void completed(const Job& job, std::uint64_t process, std::string_view records) const;

  /// Reports a run that was lost with its worker: only its start is known.
  void lost(const Job& job, Clock::time_point begun) const;

 private:
  const OnSpan& on_span_;
};

}  // namespace pyhost::detail
