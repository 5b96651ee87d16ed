// Answers the questions that modules in a worker process ask the host's services.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "pool/process/call_threads.hpp"
#include "pool/process/process_link.hpp"
#include "pool/process/wire_frames.hpp"
#include "services/services.hpp"

namespace pyhost::detail {

/// Calls services on threads of its own, because they may take long and wait for each other.
class ServiceAnswers {
 public:
  /// `on_answer` is called on any thread when an answer can be sent.
  ServiceAnswers(Services& services, std::function<void()> on_answer)
      : services_(services), on_answer_(std::move(on_answer)) {}

  /// Begins to answer a question from the worker process with this number. Throws BrokenFrame.
  void begin(std::uint64_t process, const WireFrame& question);

  /// Sends the answers that are ready. Answers to processes that have ended are dropped.
  void send(std::uint64_t process, ProcessLink& link);

 private:
  Services& services_;
  std::function<void()> on_answer_;
  std::mutex mutex_;
  std::vector<std::pair<std::uint64_t, std::string>> answers_;  // each with its process
  CallThreads call_threads_;                                    // the last member: its threads use the others
};

}  // namespace pyhost::detail
