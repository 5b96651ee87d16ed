// The signals of threads that are pyhost's own.
#pragma once

#include <pthread.h>

#include <csignal>

namespace pyhost::detail {

/// What this thread begins as long as it lives gets no signals: they are for the application's threads. But
/// what a thread itself has done wrong is told to that one, and the application may have a handler that
/// reports it.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t blocked;
    sigfillset(&blocked);
    for (const int its_own : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT})
      sigdelset(&blocked, its_own);
    pthread_sigmask(SIG_SETMASK, &blocked, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_{};
};

}  // namespace pyhost::detail
