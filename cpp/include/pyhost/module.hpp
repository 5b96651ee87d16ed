// The handles of a loaded module and of what its create() made.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "pyhost/buffer.hpp"
#include "pyhost/json.hpp"
#include "pyhost/run_options.hpp"
#include "pyhost/stream.hpp"

namespace pyhost {

namespace detail {
struct ModuleData;
struct InstanceData;
}  // namespace detail

/// What a module's `create(state)` returned. A handle: copies share the object, any thread may use or
/// destroy one, also after the host is gone; a run then throws HostClosed. If its class has `close()`, that
/// is called once when the object is given up: by close(), else with the last handle, else when the module is
/// unloaded or the host closed. If its class is a context manager, `__enter__` is called after `create`, and
/// `__exit__` then.
/// Thread: the object is closed and dropped on the thread that gives it up. One that belongs to the thread
/// where it was made, as Tcl's objects (tkinter) do, must be given up there: otherwise Tcl aborts the
/// process.
class Instance {
 public:
  /// Calls `run()` and gives its result; awaits it if it is async, and makes an array of all that it yields.
  /// Throws BadContract, ModuleRaised, InvalidResult, and what a service threw that the module did not catch,
  /// as do create() and load(). A temporary gives its object up with the call, and throws what its `close()`
  /// raises.
  Json run() const&;
  Json run() &&;

  /// The same with the result as JSON text on one line: keys in Python's order, integers beyond 64
  /// bits exactly (up to the digits that `sys.set_int_max_str_digits` allows, 4,300 by default).
  std::string run_text() const&;
  std::string run_text() &&;

  /// A run that can be stopped: throws TimedOut and Cancelled as well.
  Json run(const RunOptions& options) const&;
  Json run(const RunOptions& options) &&;
  std::string run_text(const RunOptions& options) const&;
  std::string run_text(const RunOptions& options) &&;

  /// Calls `run()` and gives what it yields, each item when it is asked for. The timeout is that of the whole
  /// stream, from now on; its time goes on while nobody asks. The stream shares the object.
  Stream stream(const RunOptions& options = {}) const;

  /// The dict that `create` was given, as the module has left it. Throws InvalidState if that is no JSON, as
  /// when a buffer is in it.
  Json state() const;
  /// The same as JSON text on one line.
  std::string state_text() const;

  /// Gives the object up, for all handles that share it: a run then throws HostClosed. Throws what its
  /// `close()` or `__exit__` raises, as ModuleRaised.
  void close();

  /// The same for a result that is bytes, a bytearray, a memoryview or an array: its memory, without a copy.
  /// The buffer keeps the Python object, which it gives up on whatever thread it is destroyed.
  Buffer run_buffer() const;
  Buffer run_buffer(const RunOptions& options) const;

 private:
  friend class Module;
  explicit Instance(std::shared_ptr<detail::InstanceData> data) : data_(std::move(data)) {}
  std::shared_ptr<detail::InstanceData> data_;
};

/// An imported module. A handle like Instance.
class Module {
 public:
  /// The name it was loaded by, without the `modules.` in front.
  const std::string& name() const noexcept;

  /// Calls the module's `create` with a fresh dict made from the state, which must be an object; null
  /// counts as `{}`, because that is what C++ makes of empty braces. Throws InvalidState, BadContract,
  /// ModuleRaised.
  Instance create(const Json& state = {}) const;

  /// The same from JSON text, which is read exactly: integers as large as run_text() has them, keys in order.
  template <JsonText T>
  Instance create(const T& state) const {
    return create_from_text(state);
  }

  /// The same with buffers in the state, each under its key, as objects that a module looks at by
  /// `memoryview(…)` or `numpy.asarray(…)`: nothing is copied. Throws InvalidState for a key that is in the
  /// state.
  Instance create(const Json& state, const Buffers& buffers) const;
  template <JsonText T>
  Instance create(const T& state, const Buffers& buffers) const {
    return create_from_text(state, buffers);
  }

 private:
  friend class Host;
  explicit Module(std::shared_ptr<detail::ModuleData> data) : data_(std::move(data)) {}
  Instance create_from_text(std::string_view state) const;
  Instance create_from_text(std::string_view state, const Buffers& buffers) const;
  std::shared_ptr<detail::ModuleData> data_;
};

}  // namespace pyhost
