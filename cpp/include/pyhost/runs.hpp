// One module's runs over many states, and what comes of each.
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

/// How one module is run over many states. Every member has a default.
struct MapOptions {
  /// The limits of each run. A timeout replaces the pool's. Its stop token cancels all runs of the map.
  RunOptions run = {};

  /// Whether the outcomes come in the order of their states, or each as soon as it is there.
  bool ordered = true;

  /// The largest number of states in flight: read, and without an outcome yet. 0 means 256 for each worker,
  /// and the next three chunks for each one of an engine.
  std::size_t max_in_flight = 0;

  /// How often a run is repeated that timed out or whose worker crashed. Other failures would only recur.
  std::size_t retries = 0;
};

/// What became of one state: a result or an error.
struct Outcome {
  std::size_t index = 0;                 ///< Of the state, from 0.
  std::optional<std::string> text = {};  ///< The result as JSON text on one line.
  std::optional<Error> error = {};
  double seconds = 0;  ///< How long the run took, the last one if it was repeated; 0 if it did not begin.

  bool ok() const noexcept { return !error; }

  /// Returns the result as this type.
  /// Throws: the error if there is one; InvalidResult for an integer beyond 64 bits, which only the text has
  /// exactly, and for what does not fit the type.
  template <JsonResultType R = Json>
  R result() const {
    return detail::get_as<R>([this](const auto& how) { return result_as(how); });
  }

 private:
  Json result_as(detail::AsJson how) const;
  std::string result_as(detail::AsText how) const;
  std::monostate result_as(const detail::AsTyped& how) const;
};

/// Runs in flight, and their outcomes: push the states on one thread, and take the outcomes on another.
/// Pool::map() is easier if one thread does both.
class Runs {
 public:
  Runs(Runs&& other) noexcept;
  Runs& operator=(Runs&& other) noexcept;
  /// Cancels the runs in flight. Their outcomes are lost.
  ~Runs();

  /// Copies the state and submits its run. Waits while max_in_flight states are in flight. A state that is
  /// not valid has an error as its outcome.
  /// Throws: HostClosed once the pool is closed.
  void put(const State& state);

  /// No more states come.
  void end();

  /// Whether fewer than MapOptions::max_in_flight states are in flight.
  bool has_room() const;

  /// Whether no more outcomes can come.
  bool is_over() const;

  /// The next outcome, once it is there; nothing when no more can come.
  std::optional<Outcome> next();

  /// Like next(), but also returns nothing after `patience`.
  std::optional<Outcome> next_within(std::chrono::milliseconds patience);

 private:
  friend class Pool;
  struct Data;
  explicit Runs(std::shared_ptr<Data> data);
  Data& data() const;
  std::shared_ptr<Data> data_;
};

/// The outcomes of a range of states: an input range of Outcome. The states are read on the calling thread,
/// as outcomes are asked for. A run that fails is an outcome with an error, and the other states still run.
/// Exceptions of the range of states reach the caller. Destroyed early, it cancels the runs in flight.
template <std::ranges::view States>
class Outcomes {
 public:
  Outcomes(Runs runs, States states) : runs_(std::move(runs)), states_(std::move(states)) {}
  Outcomes(const Outcomes&) = delete;
  Outcomes& operator=(const Outcomes&) = delete;

  /// Reads on as far as may be, then waits for the next outcome; nothing at the end.
  std::optional<Outcome> next() {
    read();
    return runs_.next();
  }

  using Iterator = detail::NextIterator<Outcomes, Outcome>;

  /// Gets the first outcome.
  Iterator begin() { return Iterator(*this); }
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
