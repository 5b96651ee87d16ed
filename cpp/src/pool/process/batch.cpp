// A batch as one frame, and its outcomes as they stand in the shared memory.
#include "pool/process/batch.hpp"

#include <cstring>
#include <optional>
#include <utility>

#include "error/error_from_json.hpp"
#include "pool/process/span_records.hpp"

namespace pyhost::detail {

namespace {

[[noreturn]] void refuse_memory() { throw BrokenFrame("the memory that it shares with its pool is garbage"); }

}  // namespace

void Batch::send(ProcessLink& link) const {
  std::size_t size = 0;
  for (const auto& job : jobs) size += sizeof(RunItem) + job->module.size() + job->state.size();
  const FrameHead head = head_of(FrameKind::Runs, place_in_batch(number, jobs.size()), size);
  const bool by_view = size > 2 * most_bytes;
  std::string text;
  text.reserve(by_view ? 1024 : sizeof head + size + frame_end.size());
  text.append(reinterpret_cast<const char*>(&head), sizeof head);
  for (const auto& job : jobs) {
    const RunItem item{job->state.size(), static_cast<std::uint32_t>(job->module.size()),
                       job->for_json ? 1U : 0U};
    text.append(reinterpret_cast<const char*>(&item), sizeof item).append(job->module);
    if (by_view) {
      link.put(std::exchange(text, {}));
      link.put(job->state, true);
    } else {
      text.append(job->state);
    }
  }
  link.put(text.append(frame_end));
}

void Batch::tell(SharedPage& page, std::size_t finished) {
  if (finished > slot(page).claimed() || finished > jobs.size()) refuse_memory();
  while (told < finished) {
    if (const auto at = large.find(told); at != large.end()) {
      if (on_spans) on_spans(*jobs[told], large_spans[told]);
      WireFrame frame = std::move(at->second);
      large.erase(at);
      outcome(frame.kind == FrameKind::Failure, std::move(frame.content),
              std::chrono::steady_clock::now() - sent);
    } else {
      tell_record(page);
    }
  }
}

void Batch::tell_record(const SharedPage& page) {
  const auto& area = page.areas[number % 2];
  Record record{};
  if (read + sizeof record > area.size()) refuse_memory();
  std::memcpy(&record, area.data() + read, sizeof record);
  read += sizeof record;
  if (record.index != told || record.size > area.size() - read) refuse_memory();
  std::string content(area.data() + read, record.size);
  read += Record::padded(record.size);
  const std::size_t bytes_of_spans = record.spans * sizeof(SpanRecord);
  if (bytes_of_spans > area.size() - read) refuse_memory();
  if (on_spans) on_spans(*jobs[told], {area.data() + read, bytes_of_spans});
  read += bytes_of_spans;
  outcome(record.failed != 0, std::move(content), std::chrono::nanoseconds(record.nanoseconds));
}

void Batch::outcome(bool failed, std::string content, std::chrono::duration<double> took) {
  std::optional<Error> error;
  if (failed) error = error_from_json(Json::from_cbor(content));
  const std::unique_ptr<Job> job = std::move(jobs[told++]);
  job->seconds = took.count();
  error ? job->fail(*error) : job->succeed(std::move(content));
}

}  // namespace pyhost::detail
