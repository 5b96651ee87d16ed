// Blocks signals for threads of pyhost.
#pragma once

#include <pthread.h>

#include <csignal>

namespace pyhost::detail {

/// Blocks signals on this thread while it exists, and for ever in threads that are started meanwhile, so
/// signals are delivered to threads of the application. Signals for a fault of the thread itself, such as
/// SIGSEGV, stay enabled: the application may have a handler that reports them.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t blocked;
    sigfillset(&blocked);
    for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT})
      sigdelset(&blocked, fault);
    pthread_sigmask(SIG_SETMASK, &blocked, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_{};
};

}  // namespace pyhost::detail
