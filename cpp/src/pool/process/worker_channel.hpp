// A worker's end of the channel to its pool.
#pragma once

#include <sys/uio.h>

#include <array>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <string_view>

#include "pool/process/wire_frames.hpp"
#include "pyhost/json.hpp"

namespace pyhost::detail {

/// Any thread may send and ask; the caller must not hold the GIL. Ends the process if the pool has closed its
/// end.
class WorkerChannel {
 public:
  explicit WorkerChannel(int socket) : socket_(socket) {}

  /// Sends a frame, whose content is `content` followed by `tail`. Does nothing in a child that a module has
  /// forked.
  void send(FrameKind kind, std::uint64_t number, std::string_view content, std::string_view tail = {});
  void send_json(FrameKind kind, std::uint64_t number, const Json& content);

  /// Waits for the next frame that is not an Answer. Called by the main thread.
  WireFrame next_order();

  /// Asks the pool a question, and waits for the answer.
  Json ask(const Json& question);

 private:
  template <class Take>
  WireFrame wait(Take take);
  WireFrame read();
  void write_all(std::array<iovec, 4>& pieces);

  int socket_;
  FrameReader reader_;
  std::mutex sending_;
  std::mutex mutex_;  // guards the members below; never held while reading
  std::condition_variable received_;
  bool reading_ = false;
  std::uint64_t last_question_ = 0;
  std::deque<WireFrame> orders_;
  std::map<std::uint64_t, WireFrame> answers_;  // by the number of the question
};

}  // namespace pyhost::detail
