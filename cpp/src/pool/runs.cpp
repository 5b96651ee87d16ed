// Runs: puts states into a pool's queue, and collects their outcomes.
#include "pyhost/runs.hpp"

#include <algorithm>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>

#include "convert/convert.hpp"
#include "error/json_place.hpp"
#include "error/json_text.hpp"
#include "pool/pool_data.hpp"
#include "pyhost/json.hpp"
#include "python/gil.hpp"
#include "run/cancellation.hpp"
#include "run/handle_data.hpp"
#include "run/module_call.hpp"

namespace pyhost {

struct Runs::Data {
  // The limit of the states in flight and the results that next() has not returned yet, together.
  static constexpr std::size_t most_bytes = std::size_t{64} << 20;

  static constexpr std::chrono::milliseconds patience_for_some{1};

  Data(std::shared_ptr<detail::PoolData> of, std::string_view name, const MapOptions& how)
      : pool(std::move(of)), module(name), options(how) {
    if (options.max_in_flight != 0) max_in_flight = options.max_in_flight;
  }

  std::size_t begin_next(std::size_t bytes_of_state);
  void add_outcome(Outcome outcome, std::size_t bytes_of_state);
  std::optional<Outcome> take();
  // Returns whether a retry may succeed. A failed import may succeed if another worker has loaded the module.
  bool may_succeed_next_time(const Error& error) {
    if (error.phase() > Phase::Import)
      return error.kind() == ErrorKind::TimedOut || error.kind() == ErrorKind::WorkerCrashed;
    const std::lock_guard lock(mutex);
    return was_loaded;
  }

  bool is_ready() const { return options.ordered ? !in_order.empty() && in_order.front() : !done.empty(); }
  bool is_over() const { return ended && in_flight == 0; }
  // Asks the pool each time how many runs may be in flight, because the workers of an engine come and go.
  bool has_room() {
    if (in_flight >= max_in_flight && options.max_in_flight == 0) max_in_flight = pool->runs_ahead();
    return in_flight < max_in_flight && (bytes < most_bytes || in_flight == 0);
  }

  // If many runs are in flight, waits a moment for several outcomes together. To wake this thread for each
  // outcome would slow down the workers.
  void wait_for_some(std::unique_lock<std::mutex>& lock) {
    constexpr std::size_t many = 64;
    if (in_flight < many || is_ready()) return;
    wanted = in_flight / 4;
    wait(lock, [&] {
      ready.wait_for(lock, patience_for_some, [this] { return is_ready() && arrived >= wanted; });
    });
    wanted = 1;
  }

  // Calls `until` with the lock, but without the GIL. Takes the lock again after the GIL was released,
  // because no thread must wait for the GIL while it holds the lock.
  template <class Wait>
  static void wait(std::unique_lock<std::mutex>& lock, Wait until) {
    lock.unlock();
    detail::wait_without_gil([&] {
      lock.lock();
      until();
      lock.unlock();
    });
    lock.lock();
  }

  const std::shared_ptr<detail::PoolData> pool;
  const std::string module;
  MapOptions options;
  std::stop_source stop = {};
  const std::stop_callback<std::function<void()>> stopped_from_outside{options.run.stop,
                                                                       [this] { stop.request_stop(); }};

  mutable std::mutex mutex = {};
  std::condition_variable ready = {}, room = {};
  std::deque<std::optional<Outcome>> in_order = {};  // the outcomes of the states from `first` on
  std::size_t first = 0;
  std::deque<Outcome> done = {};  // in the order in which they arrived
  std::size_t read = 0;
  std::size_t max_in_flight = 0;
  std::size_t in_flight = 0;  // states whose outcome take() has not returned yet
  std::size_t arrived = 0;    // of those, the ones that have an outcome
  std::size_t wanted = 1;     // how many must have an outcome before next() is woken
  std::size_t bytes = 0;
  bool ended = false;
  bool was_loaded = false;  // whether the module has run for a state
};

std::size_t Runs::Data::begin_next(std::size_t bytes_of_state) {
  constexpr std::chrono::milliseconds until_asked_again(100);  // a pool that closes does not notify `room`
  std::unique_lock lock(mutex);
  for (pool->check_open(module); !has_room(); pool->check_open(module)) {
    wait(lock, [&] { room.wait_for(lock, until_asked_again, [this] { return has_room(); }); });
  }
  ++in_flight;
  bytes += bytes_of_state;
  if (options.ordered) in_order.emplace_back();
  return read++;
}

void Runs::Data::add_outcome(Outcome outcome, std::size_t bytes_of_state) {
  bool wake = false;
  {
    const std::lock_guard lock(mutex);
    if (bytes >= most_bytes) room.notify_one();
    bytes -= bytes_of_state;
    bytes += outcome.text ? outcome.text->size() : 0;
    if (outcome.text || outcome.error->phase() > Phase::Import) was_loaded = true;
    ++arrived;
    if (options.ordered) {
      in_order[outcome.index - first] = std::move(outcome);
    } else {
      done.push_back(std::move(outcome));
    }
    wake = arrived >= wanted && is_ready();
  }
  if (wake) ready.notify_one();
}

// Returns the next outcome, or nothing if none is ready.
std::optional<Outcome> Runs::Data::take() {
  if (!is_ready()) return std::nullopt;
  std::optional<Outcome> outcome;
  if (options.ordered) {
    outcome = std::move(in_order.front());
    in_order.pop_front();
    ++first;
  } else {
    outcome = std::move(done.front());
    done.pop_front();
  }
  --in_flight;
  --arrived;
  bytes -= outcome->text ? outcome->text->size() : 0;
  room.notify_one();
  return outcome;
}

namespace {

// One run of Runs. It is repeated if it fails and has retries left.
template <class Data>
class MappedJob : public detail::Job {
 public:
  explicit MappedJob(std::shared_ptr<Data> runs) : runs_(std::move(runs)), retries_(runs_->options.retries) {}

  /// Waits until there is room for another run in flight.
  void begin() {
    bytes_ = state.size();
    index_ = runs_->begin_next(bytes_);
  }

  void succeed(std::string result) noexcept override {
    runs_->add_outcome({.index = index_, .text = std::move(result), .seconds = seconds}, bytes_);
  }

  void fail(const Error& error) noexcept override {
    if (retries_ > 0 && runs_->may_succeed_next_time(error) && runs_->pool->may_put_again(*this))
      return retry();
    runs_->add_outcome({.index = index_, .error = runs_->pool->final_error(error), .seconds = seconds},
                       bytes_);
  }

 private:
  void retry() {
    auto next = std::make_unique<MappedJob>(runs_);
    next->index_ = index_;
    next->bytes_ = bytes_;
    next->retries_ = retries_ - 1;
    next->module = std::move(module);
    next->state = std::move(state);
    next->options = options;
    next->round = round;
    next->number = number;
    runs_->pool->put(std::move(next));
  }

  std::shared_ptr<Data> runs_;
  std::size_t index_ = 0;
  std::size_t bytes_ = 0;
  std::size_t retries_;
};

}  // namespace

Runs::Runs(std::shared_ptr<Data> data) : data_(std::move(data)) {}
Runs::Runs(Runs&& other) noexcept = default;

Runs& Runs::operator=(Runs&& other) noexcept {
  const Runs before(std::move(*this));
  data_ = std::move(other.data_);
  return *this;
}

Runs::Data& Runs::data() const { return detail::require_handle(data_); }

Runs::~Runs() {
  if (data_) data_->stop.request_stop();
}

void Runs::put(const State& state) {
  static_cast<void>(data());
  auto job = std::make_unique<MappedJob<Data>>(data_);
  job->module = data_->module;
  job->options = data_->options.run;
  job->options.stop = data_->stop.get_token();
  std::optional<Error> refused;
  try {
    job->state = detail::convert_for_module(job->module, [&] { return detail::state_text(state); });
  } catch (const Error& error) {
    refused = error;
  }
  job->begin();
  refused ? job->fail(*refused) : data_->pool->put(std::move(job));
}

void Runs::end() {
  const std::lock_guard lock(data().mutex);
  data_->ended = true;
  data_->ready.notify_one();
}

bool Runs::has_room() const {
  const std::lock_guard lock(data().mutex);
  return data_->has_room();
}

bool Runs::is_over() const {
  const std::lock_guard lock(data().mutex);
  return data_->is_over();
}

std::optional<Outcome> Runs::next() {
  std::unique_lock lock(data().mutex);
  const auto there = [this] { return data_->is_ready() || data_->is_over(); };
  data_->wait_for_some(lock);
  if (!there()) data_->wait(lock, [&] { data_->ready.wait(lock, there); });
  return data_->take();
}

std::optional<Outcome> Runs::next_within(std::chrono::milliseconds patience) {
  std::unique_lock lock(data().mutex);
  const auto there = [this] { return data_->is_ready() || data_->is_over(); };
  if (patience > Data::patience_for_some) data_->wait_for_some(lock);
  if (!there())
    data_->wait(lock, [&] { data_->ready.wait_for(lock, std::min(patience, detail::max_wait), there); });
  return data_->take();
}

Runs Pool::runs(std::string_view name, MapOptions options) {
  data_->check_open(name);
  return Runs(std::make_shared<Runs::Data>(data_, name, options));
}

namespace {

// Returns the first integer in the text that does not fit into 64 bits, or an empty view if there is none.
std::string_view large_integer(std::string_view text) {
  constexpr std::string_view of_numbers = "0123456789+-.eE";
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '"') in_string = !in_string;
    if (in_string && text[i] == '\\') ++i;
    if (in_string || of_numbers.find(text[i]) == std::string_view::npos) continue;
    const std::size_t end = std::min(text.find_first_not_of(of_numbers, i), text.size());
    const std::string_view number = text.substr(i, end - i);
    const bool integer = number.find_first_of(".eE") == std::string_view::npos;
    if (integer && number.size() > 18 && detail::parse_json(number).is_number_float()) return number;
    i = end - 1;
  }
  return {};
}

}  // namespace

Json Outcome::result_as(detail::AsJson /*how*/) const {
  if (error) throw Error(*error);
  const std::string_view large = large_integer(text.value());
  if (large.empty()) return detail::parse_json(*text);
  throw Error({.kind = ErrorKind::InvalidResult,
               .phase = Phase::Result,
               .message = "in the result of state " + std::to_string(index) + ", " +
                          std::string(large.substr(0, 40)) + " " + std::string(detail::beyond_64_bits),
               .hint = "result<std::string>() returns it exactly"});
}

std::string Outcome::result_as(detail::AsText /*how*/) const {
  if (error) throw Error(*error);
  return text.value();
}

std::monostate Outcome::result_as(const detail::AsTyped& how) const {
  how.read(result_as(detail::AsJson()), "the result of state " + std::to_string(index));
  return {};
}

}  // namespace pyhost
