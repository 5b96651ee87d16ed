// Locks that make concurrent loads and unloads of one module wait for each other.
#pragma once

#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

#include "python/python.hpp"

namespace pyhost::detail {

/// One lock for each module that a thread is loading or unloading.
class LoadLocks {
 public:
  enum class Purpose { Load, Unload };

  /// Acquired: the caller holds the lock. Loading and Unloading: waiting would deadlock, because the lock is
  /// held for that purpose by this thread (the module's on_load or on_unload calls the host) or by a thread
  /// that waits for this one. Then the caller continues without the lock.
  enum class Outcome { Acquired, Loading, Unloading };

  /// Returns nothing if another thread still holds the lock after a short wait. Then the caller checks
  /// whether its run was cancelled, and tries again. The caller holds the GIL, which is released during the
  /// wait.
  std::optional<Outcome> try_acquire(PyObject* module, Purpose purpose);

  /// Releases an acquired lock at the end of its scope.
  class Release {
   public:
    Release(LoadLocks& locks, PyObject* module) : locks_(locks), module_(module) {}
    ~Release();
    Release(const Release&) = delete;
    Release& operator=(const Release&) = delete;

   private:
    LoadLocks& locks_;
    PyObject* module_;
  };

 private:
  struct Lock {
    Purpose purpose;
    std::thread::id owner;
  };

  bool is_blocked_by(std::thread::id thread, std::thread::id other) const;

  std::mutex mutex_;
  std::condition_variable released_;
  std::map<PyObject*, Lock> locks_;
  std::map<std::thread::id, PyObject*> waiting_;  // the module whose lock each thread waits for
};

}  // namespace pyhost::detail
