// Writes a batch as one frame, and reads its outcomes from the shared memory.
#include "pool/process/batch.hpp"

#include <cstring>
#include <optional>
#include <utility>

#include "error/error_json.hpp"
#include "pool/process/span_records.hpp"

namespace pyhost::detail {

namespace {

[[noreturn]] void refuse_memory() { throw BrokenFrame("the memory that it shares with its pool is garbage"); }

}  // namespace

void Batch::send(ProcessLink& link) const {
  std::size_t size = 0;
  for (const auto& job : jobs) size += sizeof(RunItem) + job->module.size() + job->state.size();
  const FrameHead head = head_of(FrameKind::Runs, place_in_batch(number, jobs.size()), size);
  const bool without_copy = size > 2 * max_copied_bytes;
  std::string text;
  text.reserve(without_copy ? 1024 : sizeof head + size + frame_end.size());
  text.append(reinterpret_cast<const char*>(&head), sizeof head);
  for (const auto& job : jobs) {
    const RunItem item{job->state.size(), static_cast<std::uint32_t>(job->module.size()),
                       job->for_json ? 1U : 0U};
    text.append(reinterpret_cast<const char*>(&item), sizeof item).append(job->module);
    if (without_copy) {
      link.put(std::exchange(text, {}));
      link.put(job->state, true);
    } else {
      text.append(job->state);
    }
  }
  link.put(text.append(frame_end));
}

void Batch::deliver(SharedPage& page, std::size_t finished) {
  if (finished > slot(page).claimed() || finished > jobs.size()) refuse_memory();
  while (delivered < finished) {
    if (const auto at = large.find(delivered); at != large.end()) {
      if (on_spans) on_spans(*jobs[delivered], large_spans[delivered]);
      WireFrame frame = std::move(at->second);
      large.erase(at);
      finish_next(frame.kind == FrameKind::Failure, std::move(frame.content),
                  std::chrono::steady_clock::now() - sent);
    } else {
      deliver_record(page);
    }
  }
}

void Batch::deliver_record(const SharedPage& page) {
  const auto& area = page.areas[number % 2];
  Record record{};
  if (read + sizeof record > area.size()) refuse_memory();
  std::memcpy(&record, area.data() + read, sizeof record);
  read += sizeof record;
  if (record.index != delivered || record.size > area.size() - read) refuse_memory();
  std::string content(area.data() + read, record.size);
  read += Record::padded(record.size);
  const std::size_t bytes_of_spans = record.spans * sizeof(SpanRecord);
  if (bytes_of_spans > area.size() - read) refuse_memory();
  if (on_spans) on_spans(*jobs[delivered], {area.data() + read, bytes_of_spans});
  read += bytes_of_spans;
  finish_next(record.failed != 0, std::move(content), std::chrono::nanoseconds(record.nanoseconds));
}

void Batch::finish_next(bool failed, std::string content, std::chrono::duration<double> took) {
  std::optional<Error> error;
  if (failed) error = error_from_json(Json::from_cbor(content));
  const std::unique_ptr<Job> job = std::move(jobs[delivered++]);
  job->seconds = took.count();
  error ? job->fail(*error) : job->succeed(std::move(content));
}

}  // namespace pyhost::detail
