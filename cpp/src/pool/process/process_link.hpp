// A worker process with what is on its way to it and from it.
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
  /// Starts a worker process; it is to be told all of this first.
  ProcessLink(const std::filesystem::path& program, std::string start);

  /// To be sent when the worker takes it. A view has to live until is_sent().
  void put(std::string text);
  void put(std::string_view text, bool is_view);
  bool is_sent() const noexcept { return outgoing_.empty(); }

  /// Is called once, when all has been sent; and then given up.
  std::function<void()> on_sent = {};

  using Take = std::function<void(WireFrame)>;

  /// Waits until there is something to do, or this time has come: sends, and gives the frames that came.
  /// False once nothing comes any more, because the process has ended or closed its end. Throws BrokenFrame.
  bool wait(int wake, std::optional<std::chrono::steady_clock::time_point> until, const Take& take);

  /// Gives the frames that have come, without waiting: `Nothing` if it has given all, `Bytes` if there may be
  /// more, because the worker floods the channel.
  FrameReader::Got receive(const Take& take);

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
