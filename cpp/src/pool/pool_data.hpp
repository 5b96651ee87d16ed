// What a pool, its runs and their jobs share, and the threads of its workers.
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
    std::optional<std::chrono::milliseconds> timeout;         ///< Of a run that has none of its own.
    std::optional<std::chrono::milliseconds> import_timeout;  ///< Likewise.
    std::chrono::milliseconds patience;                       ///< With the runs in flight at the end.
    bool reports_spans;                                       ///< Whether there is an on_span.
  };

  /// Begins a thread for each worker, or for as many as the system allows, and ends with the host if that
  /// comes first.
  static std::shared_ptr<PoolData> of(std::shared_ptr<ShutdownHooks> host,
                                      std::vector<std::unique_ptr<Worker>> workers, Times times);
  PoolData(std::shared_ptr<ShutdownHooks> host, std::vector<std::unique_ptr<Worker>> workers, Times times);
  ~PoolData();
  PoolData(const PoolData&) = delete;
  PoolData& operator=(const PoolData&) = delete;

  /// Throws HostClosed once it is closed.
  void check_open(std::string_view module) const;

  void put(std::unique_ptr<Job> job);

  /// Whether a job that failed may be put once more: not if what waited was cancelled since it came, or if
  /// nothing is taken any more.
  bool may_put_again(const Job& job) const noexcept { return !closed_ && !queue_.was_emptied_since(job); }

  void cancel();
  void cancel_waiting();
  bool close(std::chrono::milliseconds patience);

  /// Closes the pool. Its runs may still use this object.
  void leave();

  /// Fails all runs, waiting or in flight, as HostClosed. Returns when the workers are done.
  void end_with_host();

  /// The error that the application gets: HostClosed for a run that was cancelled because the host closed.
  Error final_error(const Error& error) const;

  /// Sums over the workers.
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
  std::size_t working_ = 0;  // of the threads, less those that have left or ended
  std::size_t surplus_ = 0;  // of the threads: are to end without work
  bool has_reported_ = false;
  std::mutex joining_;
  std::vector<std::thread> threads_;
};

}  // namespace pyhost::detail
