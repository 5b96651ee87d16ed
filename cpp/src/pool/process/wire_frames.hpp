// The messages between a pool and its worker processes: frames with a length in front and a mark at the end.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include "pyhost/json.hpp"

namespace pyhost::detail {

/// The kind of a frame, with the meaning of its number and content. JSON is encoded as CBOR, which can also
/// hold values that JSON text cannot.
enum class FrameKind : std::uint32_t {
  // from the pool
  Start = 1,  ///< Content: start_message(), as JSON.
  Runs,       ///< Number: place_in_batch() with the number of runs. Content: RunItems, one after the other.
  Answer,     ///< Number: that of the question. Content: JSON.
  End,        ///< The pool will send no more runs.
  // from the worker
  Ready,       ///< The host is open. Number: since when, by the steady clock, in nanoseconds.
  NotStarted,  ///< Content: the Error, as JSON.
  /// An outcome that is too large for the shared memory. Number: place_in_batch(). Content: the text, the
  /// SpanRecords, the OutcomeHead.
  Outcome,
  /// No more runs of the batch will begin. Number: that of the batch. Content: `retiring_content` if this
  /// worker must be replaced, otherwise empty.
  Done,
  Question,     ///< Number: that of the question. Content: a question to the host's services, as JSON.
  Output,       ///< Number: 1 for stdout, 2 for stderr. Content: the module's name, '\n', the text.
  Log,          ///< Content: a record, as JSON.
  LogsDropped,  ///< Number: the number of records that were dropped since the last such frame.
  Event,        ///< Content: an event, as JSON.
  HostError,    ///< Content: an Error for on_error, as JSON.
};

/// The content of Done from a worker that will begin no more runs.
inline constexpr std::string_view retiring_content = "retiring";

/// A message. Not related to pyhost::Frame, which is a line of Python code.
struct WireFrame {
  FrameKind kind = FrameKind::End;
  std::uint64_t number = 0;
  std::string content = {};
  /// The number of bytes that did not fit in memory. If it is not 0, `content` is incomplete.
  std::uint64_t missing = 0;
};

/// The header of a frame, before its content.
struct FrameHead {
  std::uint32_t mark;
  FrameKind kind;
  std::uint64_t number;
  std::uint64_t size;  ///< Of the content alone.
};

/// The mark after the content.
inline constexpr std::string_view frame_end = "\nend";

/// The maximum size of the content. Longer frames are refused.
inline constexpr std::uint64_t longest_content = std::uint64_t{4} << 30;

FrameHead head_of(FrameKind kind, std::uint64_t number, std::size_t size) noexcept;

/// Returns a whole frame; for small ones.
std::string frame_text(FrameKind kind, std::uint64_t number, std::string_view content);
std::string json_frame_text(FrameKind kind, std::uint64_t number, const Json& content);

/// Returns the content as JSON. Throws BrokenFrame if it is not CBOR.
Json json_of(const WireFrame& frame);

/// Combines the number of a batch with the index of a run.
constexpr std::uint64_t place_in_batch(std::uint64_t batch, std::size_t index) noexcept {
  return batch << 32 | index;
}

/// Thrown if the bytes that were read are not a frame. The message describes what the sender did.
struct BrokenFrame : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Assembles frames from the bytes of a socket, however they are split.
class FrameReader {
 public:
  enum class Got { Bytes, Nothing, End };

  /// Reads once. Returns `Nothing` if a non-blocking socket has no data, and `End` once it is closed.
  Got read(int socket);

  /// Returns the next whole frame; nothing if more must be read first. Throws BrokenFrame.
  std::optional<WireFrame> next();

  /// Whether a frame has begun and is not complete.
  bool is_within_frame() const noexcept { return large_ || begin_ < end_; }

 private:
  std::optional<WireFrame> next_large();
  void begin_large(const FrameHead& head);
  Got read_large(int socket);

  static constexpr std::size_t room = std::size_t{64} * 1024;
  std::string buffer_ = std::string(room, '\0');
  std::size_t begin_ = 0, end_ = 0;  // of the bytes that were read and not returned yet
  bool large_ = false;               // whether a frame larger than the buffer is being read
  FrameHead large_head_ = {};
  std::uint64_t large_read_ = 0;  // of its content
  WireFrame large_frame_;
  std::size_t tail_read_ = 0;
  std::array<char, frame_end.size()> tail_ = {};
};

/// One run of a batch in the content of Runs: this struct, the module's name, the schedule's entry, the
/// state.
struct RunItem {
  std::uint64_t state_size;
  std::uint32_t module_size;
  std::uint32_t entry_size;
  std::int64_t due;  ///< In nanoseconds since the epoch, if the run is scheduled.
  std::int32_t attempt;
  bool for_json;
  bool is_scheduled;
  std::uint16_t unused;  ///< Always 0, so that no uninitialised byte is sent.
};

}  // namespace pyhost::detail
