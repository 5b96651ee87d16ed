// A worker process and the channel to it.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "pool/process/descriptor.hpp"
#include "pool/process/wire_frames.hpp"
#include "pool/process/worker_process.hpp"

namespace pyhost::detail {

class ProcessLink {
 public:
  /// Starts a worker process, and sends it this text first.
  ProcessLink(const std::filesystem::path& program, std::string start);

  /// Queues a text, which is sent as soon as the worker takes it. A view must live until is_sent().
  void put(std::string text);
  void put(std::string_view text, bool is_view);
  bool is_sent() const noexcept { return outgoing_.empty(); }

  /// Called once everything was sent, and then reset.
  std::function<void()> on_sent = {};

  using OnFrame = std::function<void(WireFrame)>;

  /// Waits until a frame comes, data can be sent, `wake` is readable, or this time is reached. Sends queued
  /// data, and calls `on_frame` with each frame that came. Returns false once nothing more can come, because
  /// the process has ended or closed its end. Throws BrokenFrame.
  bool wait(int wake, std::optional<std::chrono::steady_clock::time_point> until, const OnFrame& on_frame);

  /// Calls `on_frame` with the frames that have come, without waiting. Returns `Nothing` if these were all,
  /// and `Bytes` if there may be more, because the worker floods the channel.
  FrameReader::Got receive(const OnFrame& on_frame);

  WorkerProcess& process() noexcept { return process_; }
  bool is_within_frame() const noexcept { return reader_.is_within_frame(); }

 private:
  bool send();

  struct Piece {
    std::string own;
    std::string_view text;
  };
  WorkerProcess process_;
  FrameReader reader_;
  std::deque<Piece> outgoing_;
  std::size_t sent_ = 0;  // of the first piece
};

}  // namespace pyhost::detail
