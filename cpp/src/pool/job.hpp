// A run on its way through a pool, and the queue that it waits in.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "pyhost/error.hpp"

namespace pyhost::detail {

/// One run that was submitted and has no outcome yet. State and result are JSON text. Exactly one of its two
/// outcomes is called, once, by the worker that took it, on any thread and without the GIL.
class Job {
 public:
  virtual ~Job() = default;
  virtual void succeed(std::string result) noexcept = 0;
  virtual void fail(const Error& error) noexcept = 0;

  std::string module;
  std::string state;
  bool for_json = false;  ///< The result has to fit a Json, as that of Instance::run() has to.
  std::optional<std::chrono::milliseconds> timeout;
  std::stop_token stop;
};

using Jobs = std::vector<std::unique_ptr<Job>>;

/// Where jobs wait, first come first served. Any thread may call it.
class Queue {
 public:
  void put(std::unique_ptr<Job> job);
  void put(Jobs jobs);

  /// Waits for jobs, and moves the first ones, `most` of them at most, to the end of `to`. False once the
  /// queue is closed and empty.
  bool take(Jobs& to, std::size_t most);

  /// The same without waiting; gives how many it moved.
  std::size_t try_take(Jobs& to, std::size_t most);

  /// No more comes in; what waits is still to be taken.
  void close();
};

/// What makes runs, one after the other. It has a thread to itself, on which work() is called once.
class Worker {
 public:
  virtual ~Worker() = default;

  /// Takes jobs from the queue and gives each its outcome, until the queue is closed and empty.
  virtual void work(Queue& queue) = 0;

  /// Stops the runs that it has taken, as Cancelled, and goes on with the next ones. Any thread may call it.
  virtual void cancel() noexcept = 0;
};

}  // namespace pyhost::detail
