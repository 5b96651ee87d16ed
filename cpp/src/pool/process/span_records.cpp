// Converts spans to the bytes that a worker process writes beside each outcome, and back.
#include "pool/process/span_records.hpp"

#include <algorithm>
#include <cstring>

#include "pool/process/messages.hpp"
#include "pool/process/wire_frames.hpp"

namespace pyhost::detail {

std::vector<SpanRecord> records_of(const std::vector<Span>& spans) {
  std::vector<SpanRecord> records;
  records.reserve(spans.size());
  for (const Span& span : spans) {
    records.push_back({nanoseconds_of(span.begin), nanoseconds_of(span.end), span.run,
                       static_cast<std::uint32_t>(span.kind), span.failed ? 1U : 0U});
  }
  return records;
}

std::string_view bytes_of(const std::vector<SpanRecord>& records) noexcept {
  return {reinterpret_cast<const char*>(records.data()), records.size() * sizeof(SpanRecord)};
}

void ProcessSpans::started(Clock::time_point begun, std::uint64_t ready) const {
  if (!on_span_) return;
  const auto end = std::clamp(time_of<Clock>(static_cast<std::int64_t>(ready)), begun, Clock::now());
  notify_span(on_span_, {.kind = SpanKind::Start, .begin = begun, .end = end});
}

void ProcessSpans::sent(const std::string& module, std::size_t runs, Clock::time_point begun) const {
  notify_span(on_span_,
              {.kind = SpanKind::Send, .module = module, .begin = begun, .end = Clock::now(), .runs = runs});
}

void ProcessSpans::completed(const Job& job, std::uint64_t process, std::string_view records) const {
  if (records.size() % sizeof(SpanRecord) != 0) throw BrokenFrame("it sent invalid spans");
  for (; !records.empty(); records.remove_prefix(sizeof(SpanRecord))) {
    SpanRecord record;
    std::memcpy(&record, records.data(), sizeof record);
    if (record.kind > static_cast<std::uint32_t>(SpanKind::Convert) || record.end < record.begin)
      throw BrokenFrame("it sent invalid spans");
    const auto kind = static_cast<SpanKind>(record.kind);
    if (kind == SpanKind::Queue) {
      notify_span(on_span_, job.waited(std::max(job.put_at, time_of<Clock>(record.end))));
      continue;
    }
    notify_span(on_span_, {.kind = kind,
                           .module = job.module,
                           .run = run_of_worker(process, record.run),
                           .submission = job.number,
                           .begin = time_of<Clock>(record.begin),
                           .end = time_of<Clock>(record.end),
                           .failed = record.failed != 0});
  }
}

void ProcessSpans::lost(const Job& job, Clock::time_point begun) const {
  if (!on_span_) return;
  notify_span(on_span_, job.waited(begun));
  notify_span(on_span_, {.kind = SpanKind::Run,
                         .module = job.module,
                         .submission = job.number,
                         .begin = begun,
                         .end = Clock::now(),
                         .failed = true});
}

}  // namespace pyhost::detail
