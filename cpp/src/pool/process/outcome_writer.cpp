// Small outcomes go into the shared memory, so they need no message.
#include "pool/process/outcome_writer.hpp"

#include <algorithm>
#include <cstring>
#include <string_view>

#include "pool/process/span_records.hpp"
#include "pool/process/wire_frames.hpp"
#include "pyhost/json.hpp"

namespace pyhost::detail {

Outcome outcome_of(const Error& error) {
  Outcome outcome{.failed = true};
  Json::to_cbor(error.to_json(), outcome.content);
  return outcome;
}

void OutcomeWriter::write(std::uint32_t index, const Outcome& outcome, std::int64_t nanoseconds,
                          const std::vector<Span>& spans) {
  std::vector<SpanRecord> records = records_of(spans);
  constexpr std::size_t max_spans = 1024;
  if (records.size() > max_spans) records.resize(max_spans);
  const OutcomeHead head{.index = index,
                         .failed = static_cast<std::uint16_t>(outcome.failed ? 1 : 0),
                         .spans = static_cast<std::uint16_t>(records.size()),
                         .nanoseconds = static_cast<std::uint64_t>(nanoseconds),
                         .size = outcome.content.size()};
  const std::string_view bytes = bytes_of(records);
  const bool fits =
      outcome.content.size() < area_.size() / 2 &&
      used_ + sizeof head + OutcomeHead::padded(outcome.content.size()) + bytes.size() <= area_.size();
  if (!fits) {
    const auto tail = std::string(bytes).append(reinterpret_cast<const char*>(&head), sizeof head);
    return channel_.send(FrameKind::Outcome, place_in_batch(batch_, index), outcome.content, tail);
  }
  std::memcpy(area_.data() + used_, &head, sizeof head);
  std::memcpy(area_.data() + used_ + sizeof head, outcome.content.data(), outcome.content.size());
  used_ += sizeof head + OutcomeHead::padded(outcome.content.size());
  std::ranges::copy(bytes, area_.data() + used_);
  used_ += bytes.size();
}

}  // namespace pyhost::detail
