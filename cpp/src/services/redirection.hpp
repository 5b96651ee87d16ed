// Passes the text that Python code writes to sys.stdout and sys.stderr to the application's on_output.
#pragma once

#include <functional>
#include <memory>

#include "pyhost/options.hpp"
#include "python/python.hpp"

namespace pyhost::detail {

/// The target of redirected text, one line at a time: the function, or the process's own streams if there is
/// none.
struct OutputSink;
std::shared_ptr<OutputSink> make_sink(std::function<void(const Output&)> function);

/// Calls the sink's function, one call at a time. Exceptions from it go to the caller, which must not hold
/// the GIL.
void deliver(OutputSink& sink, const Output& output);

/// After it returns, the function is not called any more.
void close_sink(OutputSink& sink);

/// Redirects the streams of this interpreter to the sink for as long as it lives. The caller holds the GIL.
class Redirection {
 public:
  explicit Redirection(std::shared_ptr<OutputSink> sink);
  ~Redirection();
  Redirection(const Redirection&) = delete;
  Redirection& operator=(const Redirection&) = delete;

 private:
  struct Stream {
    const char* name;
    py::object before;
  };
  std::shared_ptr<OutputSink> sink_;
  Stream stdout_{"stdout", {}};
  Stream stderr_{"stderr", {}};
};

}  // namespace pyhost::detail
