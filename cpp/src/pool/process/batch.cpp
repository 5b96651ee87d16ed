// Writes a batch as one frame, and reads its outcomes from the shared memory.
#include "pool/process/batch.hpp"

#include <cstring>
#include <optional>
#include <utility>

#include "error/error_json.hpp"
#include "pool/process/messages.hpp"
#include "pool/process/span_records.hpp"

namespace pyhost::detail {

namespace {

[[noreturn]] void refuse_outcome() { throw BrokenFrame("it sent an invalid outcome"); }

[[noreturn]] void refuse_memory() { throw BrokenFrame("the memory that it shares with its pool is corrupt"); }

RunItem item_of(const Job& job) {
  RunItem item{.state_size = job.state.size(),
               .module_size = static_cast<std::uint32_t>(job.module.size()),
               .entry_size = 0,
               .due = 0,
               .attempt = 0,
               .for_json = job.for_json,
               .is_scheduled = false,
               .unused = 0};
  if (const Scheduled* const scheduled = job.options.scheduled.get()) {
    item.is_scheduled = true;
    item.entry_size = static_cast<std::uint32_t>(scheduled->entry.size());
    item.due = nanoseconds_of(scheduled->due);
    item.attempt = scheduled->attempt;
  }
  return item;
}

}  // namespace

std::size_t Batch::size_of(const Job& job) noexcept {
  const Scheduled* const scheduled = job.options.scheduled.get();
  return sizeof(RunItem) + job.module.size() + (scheduled != nullptr ? scheduled->entry.size() : 0) +
         job.state.size();
}

void Batch::send(ProcessLink& link) const {
  std::size_t size = 0;
  for (const auto& job : jobs) size += size_of(*job);
  const FrameHead head = head_of(FrameKind::Runs, place_in_batch(number, jobs.size()), size);
  const bool without_copy = size > 2 * max_copied_bytes;
  std::string text;
  text.reserve(without_copy ? 1024 : sizeof head + size + frame_end.size());
  text.append(reinterpret_cast<const char*>(&head), sizeof head);
  for (const auto& job : jobs) {
    const RunItem item = item_of(*job);
    text.append(reinterpret_cast<const char*>(&item), sizeof item).append(job->module);
    if (item.is_scheduled) text.append(job->options.scheduled->entry);
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
    auto frame = large.extract(delivered);
    frame ? deliver_large(std::move(frame.mapped())) : deliver_small(page);
  }
}

void Batch::deliver_large(std::string frame) {
  OutcomeHead head{};
  if (frame.size() < sizeof head) refuse_outcome();
  const std::size_t end = frame.size() - sizeof head;
  std::memcpy(&head, frame.data() + end, sizeof head);
  if (head.size > end || end - head.size != head.spans * sizeof(SpanRecord)) refuse_outcome();
  const std::string spans = frame.substr(head.size, end - head.size);
  frame.resize(head.size);
  finish_next(head, std::move(frame), spans);
}

void Batch::deliver_small(const SharedPage& page) {
  const auto& area = page.areas[number % 2];
  OutcomeHead head{};
  if (read + sizeof head > area.size()) refuse_memory();
  std::memcpy(&head, area.data() + read, sizeof head);
  read += sizeof head;
  if (head.size > area.size() - read) refuse_memory();
  std::string text(area.data() + read, head.size);
  read += OutcomeHead::padded(head.size);
  const std::size_t bytes_of_spans = head.spans * sizeof(SpanRecord);
  if (read > area.size() || bytes_of_spans > area.size() - read) refuse_memory();
  const std::string_view spans(area.data() + read, bytes_of_spans);
  read += bytes_of_spans;
  finish_next(head, std::move(text), spans);
}

void Batch::finish_next(const OutcomeHead& head, std::string text, std::string_view spans) {
  if (head.index != delivered) refuse_outcome();
  if (on_spans) on_spans(*jobs[delivered], spans);
  std::optional<Error> error;
  if (head.failed != 0) error = error_from_json(Json::from_cbor(text));
  const std::unique_ptr<Job> job = std::move(jobs[delivered++]);
  job->seconds = std::chrono::duration<double>(std::chrono::nanoseconds(head.nanoseconds)).count();
  error ? job->fail(*error) : job->succeed(std::move(text));
}

}  // namespace pyhost::detail
