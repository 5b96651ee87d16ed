// One module's runs over many states, and what comes of each.
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <iterator>
#include <memory>
#include <optional>
#include <ranges>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "pyhost/error.hpp"
#include "pyhost/json_fwd.hpp"

namespace pyhost {

/// How many runs are made of one module. Every member has a default.
struct MapOptions {
  /// Whether the outcomes come in the order of their states, or as soon as they are there.
  bool ordered = true;

  /// No more than so many states are under way at once: read, and their outcome not yet given. 0 is 256 for
  /// each worker.
  std::size_t ahead = 0;

  /// Of each run; in the place of the pool's.
  std::optional<std::chrono::milliseconds> timeout = {};

  /// How often a run is made again that timed out or whose worker crashed. One that fails otherwise would do
  /// so again.
  std::size_t retries = 0;
};

/// What came of one state: a result or an error.
struct Outcome {
  std::size_t index = 0;                 ///< Of the state, from 0.
  std::optional<std::string> text = {};  ///< The result as JSON text on one line.
  std::optional<Error> error = {};
  double seconds = 0;  ///< How long the run took, the last one if it was made again; 0 if it did not begin.

  bool ok() const noexcept { return !error; }

  /// The result; throws the error if there is one, and InvalidResult for an integer beyond 64 bits, which the
  /// text has exactly.
  Json json() const;
};

/// Runs that are under way, and their outcomes: for who reads states on one thread and takes outcomes on
/// another. Pool::map() is easier where one thread does both.
class Runs {
 public:
  Runs(Runs&& other) noexcept;
  Runs& operator=(Runs&& other) noexcept;
  /// What is under way is stopped, and its outcomes are lost.
  ~Runs();

  /// Has the next state run; waits while there is no room. Throws HostClosed once the pool is closed. What is
  /// wrong with a state is its outcome.
  void put(const Json& state);
  template <JsonText T>
  void put(const T& state) {
    put_text(std::string_view(state));
  }

  /// No more states come.
  void end();

  /// Whether fewer than MapOptions::ahead states are under way.
  bool has_room() const;

  /// Whether no more outcomes can come.
  bool is_over() const;

  /// The next outcome, once it is there; nothing when no more can come.
  std::optional<Outcome> next();

  /// The same, but nothing either if it is not there in time.
  std::optional<Outcome> next_within(std::chrono::milliseconds patience);

 private:
  friend class Pool;
  struct Data;
  explicit Runs(std::shared_ptr<Data> data);
  void put_text(std::string_view state);
  std::shared_ptr<Data> data_;
};

/// What a state may be in a range that Pool::map() reads: a Json, or JSON text.
template <class T>
concept State = std::same_as<std::remove_cvref_t<T>, Json> || JsonText<std::remove_cvref_t<T>>;

/// The outcomes of a range of states, which is read as they are asked for, on the thread that asks: an input
/// range of Outcome. A state whose run failed is an outcome with an error, and the next ones come all the
/// same; what the range of states throws goes on to who asks. Destroyed early, it stops what is under way.
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

  class Iterator {
   public:
    using value_type = Outcome;
    using difference_type = std::ptrdiff_t;
    Outcome& operator*() const noexcept { return *outcome_; }
    Outcome* operator->() const noexcept { return &*outcome_; }
    Iterator& operator++() {
      outcome_ = outcomes_->next();
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t /*end*/) const noexcept { return !outcome_; }

   private:
    friend class Outcomes;
    explicit Iterator(Outcomes& outcomes) : outcomes_(&outcomes), outcome_(outcomes.next()) {}
    Outcomes* outcomes_;
    mutable std::optional<Outcome> outcome_;
  };

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
