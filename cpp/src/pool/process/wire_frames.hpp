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

/// The kind of a frame, with the meaning of its number and content. JSON is in CBOR, which also holds what
/// JSON text does not.
enum class FrameKind : std::uint32_t {
  // from the pool
  Start = 1,  ///< How the worker opens its host, as JSON.
  Runs,       ///< Number: that of the batch. Content: RunItems, one after the other.
  Answer,     ///< Number: that of the question. Content: JSON.
  End,        ///< No more runs will come.
  // from the worker
  Ready,       ///< The host is open. Number: the time at which it was, by the steady clock, in nanoseconds.
  NotStarted,  ///< Content: the Error, as JSON.
  Outcome,     ///< Number: where in which batch. Content: the text, the SpanRecords, the OutcomeHead. For an
               ///< outcome that is too large for the memory that is shared.
  Done,        ///< Number: that of the batch, of which no more runs will begin. Content:
               ///< `retiring_content` if this worker must be replaced, otherwise empty.
  Question,    ///< Number: that of the question. Content: what a module asks of the host's services, as JSON.
  Output,      ///< Number: 1 or 2, as descriptors are numbered. Content: the module's name, '\n', the text.
  Log,         ///< Content: a record, as JSON.
  LogsDropped,  ///< Number: how many more records were dropped.
  Event,        ///< Content: an event, as JSON.
  HostError,    ///< Content: an Error for on_error, as JSON.
};

/// The content of Done from a worker that begins no more runs.
inline constexpr std::string_view retiring_content = "retiring";

/// Not the line of Python code that pyhost::Frame is.
struct WireFrame {
  FrameKind kind = FrameKind::End;
  std::uint64_t number = 0;
  std::string content = {};
  std::uint64_t missing =
      0;  ///< Bytes of the content that there was no memory for; only its beginning is there.
};

/// What stands before the content of a frame.
struct FrameHead {
  std::uint32_t mark;
  FrameKind kind;
  std::uint64_t number;
  std::uint64_t size;  ///< Of the content alone.
};

/// What stands after it.
inline constexpr std::string_view frame_end = "\nend";

/// Bytes that a frame may have between the two; a longer one is refused.
inline constexpr std::uint64_t longest_content = std::uint64_t{4} << 30;

FrameHead head_of(FrameKind kind, std::uint64_t number, std::size_t size) noexcept;

/// All of a frame, for those that are small.
std::string frame_text(FrameKind kind, std::uint64_t number, std::string_view content);
std::string json_frame_text(FrameKind kind, std::uint64_t number, const Json& content);

/// Throws BrokenFrame for what is no JSON in CBOR.
Json json_of(const WireFrame& frame);

/// The number of an Outcome.
constexpr std::uint64_t place_in_batch(std::uint64_t batch, std::size_t index) noexcept {
  return batch << 32 | index;
}

/// What was read is no frame; says in which way.
struct BrokenFrame : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Makes frames of what comes through a socket, in whatever pieces.
class FrameReader {
 public:
  enum class Got { Bytes, Nothing, End };

  /// Reads once; `Nothing` is what a socket says that does not wait.
  Got read(int socket);

  /// The next whole frame; nothing if more has to be read first. Throws BrokenFrame.
  std::optional<WireFrame> next();

  /// Whether a frame has begun that is not whole yet.
  bool is_within_frame() const noexcept { return large_ || begin_ < end_; }

 private:
  std::optional<WireFrame> next_large();
  void begin_large(const FrameHead& head);
  Got read_large(int socket);

  static constexpr std::size_t room = std::size_t{64} * 1024;
  std::string buffer_ = std::string(room, '\0');
  std::size_t begin_ = 0, end_ = 0;  // of what has been read and not yet given
  bool large_ = false;               // a frame that goes past the buffer is being read
  FrameHead large_head_ = {};
  std::uint64_t large_read_ = 0;  // of its content
  WireFrame large_frame_;
  std::size_t tail_read_ = 0;
  std::array<char, frame_end.size()> tail_ = {};
};

/// One run of a batch, as it stands in the content of Runs: this, the module's name, the schedule's entry,
/// the state.
struct RunItem {
  std::uint64_t state_size;
  std::uint32_t module_size;
  std::uint32_t entry_size;
  std::int64_t due;  ///< In nanoseconds since the epoch, if the run is scheduled.
  std::int32_t attempt;
  bool for_json;
  bool is_scheduled;
  std::uint16_t unused;  ///< 0: no byte that is sent is undefined.
};

}  // namespace pyhost::detail
