// What Python code writes to sys.stdout and sys.stderr, given to the application's on_output.
#pragma once

#include <functional>
#include <memory>

#include "pyhost/options.hpp"
#include "python/python.hpp"

namespace pyhost::detail {

/// Where redirected text ends: in the function, or else in the process's own streams, a line at a time.
struct OutputSink;
std::shared_ptr<OutputSink> make_sink(std::function<void(const Output&)> function);

/// Calls the sink's function, one call at a time; what it throws goes through. The caller holds no GIL.
void deliver(OutputSink& sink, const Output& output);

/// Calls the function no more once it returns.
void close_sink(OutputSink& sink);

/// Gives what Python code of this interpreter writes to the sink, for as long as it lives. The caller holds
/// the GIL.
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
