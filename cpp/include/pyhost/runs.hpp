// Runs of one module over many states, and their outcomes.
#pragma once

#include <chrono>
#include <cstddef>
#include <iterator>
#include <memory>
#include <optional>
#include <ranges>
#include <string>
#include <utility>
#include <variant>

#include "pyhost/error.hpp"
#include "pyhost/result.hpp"
#include "pyhost/run_options.hpp"
#include "pyhost/state.hpp"
#include "pyhost/stream.hpp"

namespace pyhost {

/// The options of Pool::map() and Pool::runs(). Every member has a default.
struct MapOptions {
  /// The options of each run. A timeout takes precedence over that of the pool. The stop token cancels all
  /// runs.
  RunOptions run = {};

  /// Whether outcomes are returned in the order of the states. Otherwise they are returned as soon as they
  /// are available.
  bool ordered = true;

  /// The largest number of states in flight: those that have been read, and whose outcome has not been
  /// returned yet. States and results in flight are also limited to 64 MiB.
  /// Default: 0, which means 256 for each worker. With an engine, at least that, and three chunks for each
  /// worker.
  std::size_t max_in_flight = 0;

  /// How often a run is repeated if it timed out, if its worker process crashed, or if an import failed that
  /// has succeeded for another state.
  std::size_t retries = 0;
};

/// The outcome of one state: a result or an error.
struct Outcome {
  std::size_t index = 0;                 ///< The index of the state, from 0.
  std::optional<std::string> text = {};  ///< The result as JSON text on one line, if the run succeeded.
  std::optional<Error> error = {};       ///< The error, if the run failed.
  double seconds = 0;  ///< How long the run took, or its last repetition; 0 if it did not begin.

  /// Returns whether there is a result.
  bool ok() const noexcept { return !error; }

  /// Returns the result as R.
  /// Throws: `error`, if there is one; InvalidResult if the result does not fit R. Integers beyond 64 bits
  /// only fit std::string.
  template <JsonResultType R = Json>
  R result() const {
    return detail::get_as<R>([this](const auto& how) { return result_as(how); });
  }

 private:
  Json result_as(detail::AsJson how) const;
  std::string result_as(detail::AsText how) const;
  std::monostate result_as(const detail::AsTyped& how) const;
};

/// Runs of one module, whose states you push and whose outcomes you take. Pool::runs() returns it.
/// Pool::map() is easier if one thread does both. It can be moved, but not copied.
/// Thread: any. One thread may push while another takes.
class Runs {
 public:
  /// Takes over the runs of another object. `other` can then only be assigned to or destroyed.
  Runs(Runs&& other) noexcept;

  /// Cancels the runs in flight, then takes over those of another object.
  Runs& operator=(Runs&& other) noexcept;

  /// Cancels the runs in flight. Their outcomes are lost.
  ~Runs();

  /// Submits a run. The state is copied. Blocks while there is no room: see has_room(). A state that is not
  /// valid has an error as its outcome.
  /// Throws: HostClosed if the pool is closed.
  void put(const State& state);

  /// Declares that there are no more states, so that next() can return nothing after the last outcome.
  void end();

  /// Returns whether another state may be in flight: see MapOptions::max_in_flight.
  bool has_room() const;

  /// Returns whether end() was called and all outcomes have been returned.
  bool is_over() const;

  /// Waits for the next outcome and returns it. Returns nothing if is_over().
  std::optional<Outcome> next();

  /// Like next(), but waits no longer than `patience`. Returns nothing if there is no outcome by then.
  std::optional<Outcome> next_within(std::chrono::milliseconds patience);

 private:
  friend class Pool;
  struct Data;
  explicit Runs(std::shared_ptr<Data> data);
  Data& data() const;
  std::shared_ptr<Data> data_;
};

/// The outcomes of a range of states, as an input range of Outcome. Pool::map() returns it. It cannot be
/// copied or moved.
///
/// A run that fails is an outcome with an error, and the other states still run. The destructor cancels the
/// runs in flight.
/// Throws: exceptions of the range of states reach the caller.
/// Thread: one at a time. It reads the states while it waits for outcomes.
template <std::ranges::view States>
class Outcomes {
 public:
  /// Pool::map() calls it.
  Outcomes(Runs runs, States states) : runs_(std::move(runs)), states_(std::move(states)) {}
  Outcomes(const Outcomes&) = delete;
  Outcomes& operator=(const Outcomes&) = delete;

  /// Reads and submits states until there is no more room, then waits for the next outcome and returns it.
  /// Returns nothing at the end.
  std::optional<Outcome> next() {
    read();
    return runs_.next();
  }

  /// An input iterator over outcomes.
  using Iterator = detail::NextIterator<Outcomes, Outcome>;

  /// Waits for the first outcome and returns an iterator to it. Call it once.
  Iterator begin() { return Iterator(*this); }

  /// Returns the end of the range.
  std::default_sentinel_t end() const noexcept { return {}; }

 private:
  void read() {
    try {
      while (!ended_ && runs_.has_room()) {
        if (at_) {
          ++*at_;
        } else {
          at_.emplace(std::ranges::begin(states_));
        }
        if (*at_ == std::ranges::end(states_)) return end_states();
        runs_.put(**at_);
      }
    } catch (...) {
      end_states();
      throw;
    }
  }

  void end_states() {
    ended_ = true;
    runs_.end();
  }

  Runs runs_;
  States states_;
  std::optional<std::ranges::iterator_t<States>> at_;
  bool ended_ = false;
};

}  // namespace pyhost
