// The state of a pool, which its runs and their jobs share, and the threads of its workers.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "host/shutdown_hooks.hpp"
#include "pool/run_queue.hpp"
#include "pyhost/pool.hpp"

namespace pyhost::detail {

class PoolData {
 public:
  struct Times {
    std::optional<std::chrono::milliseconds> timeout;         ///< The default for runs.
    std::optional<std::chrono::milliseconds> import_timeout;  ///< The default for runs.
    std::chrono::milliseconds patience;                       ///< How long the end waits for runs in flight.
    bool reports_spans;                                       ///< Whether on_span is set.
  };

  /// Makes a pool, and starts a thread for each worker, or for as many workers as the system allows. The pool
  /// ends when its host closes.
  static std::shared_ptr<PoolData> of(std::shared_ptr<ShutdownHooks> host,
                                      std::vector<std::unique_ptr<Worker>> workers, Times times);
  PoolData(std::shared_ptr<ShutdownHooks> host, std::vector<std::unique_ptr<Worker>> workers, Times times);
  ~PoolData();
  PoolData(const PoolData&) = delete;
  PoolData& operator=(const PoolData&) = delete;

  /// Throws: HostClosed if the pool or its host is closed.
  void check_open(std::string_view module) const;

  void put(std::unique_ptr<Job> job);

  /// Returns whether a failed job may be put again: not if cancel_waiting() was called since it was put, or
  /// if the pool is closed.
  bool may_put_again(const Job& job) const noexcept { return !closed_ && !queue_.was_emptied_since(job); }

  void cancel();
  void cancel_waiting();
  bool close(std::chrono::milliseconds patience);

  /// Closes the pool. Its runs may still use this object.
  void leave();

  /// Fails all runs, waiting and in flight, as HostClosed. Returns when the workers have ended.
  void end_with_host();

  /// Returns the error for the application: HostClosed if the run was cancelled because the host closed,
  /// otherwise the error itself.
  Error final_error(const Error& error) const;

  /// Return the sums over all workers.
  std::size_t width() const noexcept;
  std::size_t runs_ahead() const noexcept;

 private:
  void work(Worker& worker, std::uint64_t number);
  bool is_surplus();
  std::size_t working();
  bool leave_to_others(const Error& why);
  void fail_next(const Error& why);
  bool end_work();
  void report_fewer_workers(const Error& why);
  void join();

  std::shared_ptr<ShutdownHooks> host_;
  ShutdownHooks::Id id_ = 0;
  std::vector<std::unique_ptr<Worker>> workers_;
  Times times_;
  RunQueue queue_;
  std::atomic<bool> closed_ = false;
  std::atomic<bool> host_closed_ = false;
  std::mutex mutex_;
  std::condition_variable done_;
  std::size_t working_ = 0;  // threads that have not ended
  std::size_t surplus_ = 0;  // threads that must end without taking jobs
  bool has_reported_ = false;
  std::mutex joining_;
  std::vector<std::thread> threads_;
};

}  // namespace pyhost::detail
