// Makes the runs of a scheduler, and stops runs whose claims are about to expire.
#include "schedule/active_runs.hpp"

#include <algorithm>
#include <cstdint>
#include <exception>
#include <iterator>
#include <memory>
#include <utility>

#include "error/system_limits.hpp"
#include "pool/cores.hpp"
#include "pyhost/run_options.hpp"
#include "schedule/schedule_json.hpp"

namespace pyhost::detail {

using std::chrono::milliseconds;

struct ActiveRuns::Active {
  ClaimedRun claim;
  Clock::time_point begun;
  Clock::time_point limit;  // when the run is stopped unless its claim is renewed
  std::stop_source stop;
  bool is_lost = false;
  bool has_ended = false;
  std::thread thread;
};

namespace {

Error not_made(const ClaimedRun& claim, const std::exception& failed) {
  if (const auto* error = dynamic_cast<const Error*>(&failed)) return *error;
  return Error({.kind = ErrorKind::StartupFailed,
                .phase = Phase::Run,
                .module = claim.module,
                .message = std::string("the run could not be started: ") + failed.what()});
}

}  // namespace

ActiveRuns::ActiveRuns(Host& host, PoolOptions options, milliseconds lease)
    : host_(host), options_(std::move(options)), lease_(lease) {
  if (options_.workers == 0) options_.workers = usable_cores();
  watching_ = start_thread<std::jthread>([this](const std::stop_token& stop) { watch(stop); });
}

ActiveRuns::~ActiveRuns() {
  cancel_all();
  for (const auto& run : active_) {
    if (run->thread.joinable()) run->thread.join();
  }
}

std::size_t ActiveRuns::room() const {
  const std::lock_guard lock(mutex_);
  return options_.workers - std::min(options_.workers, active_.size() - ended_.size());
}

bool ActiveRuns::empty() const {
  const std::lock_guard lock(mutex_);
  return active_.empty() && ended_.empty();
}

// Returns when a run must be stopped, if its claim was last renewed at `asked`. The rest of the lease is for
// the run to end (its grace period), and for its worker to be killed otherwise.
ActiveRuns::Clock::time_point ActiveRuns::limit_of(Clock::time_point asked) const {
  return asked + lease_ - lease_ / 6 - lease_ / 30;
}

void ActiveRuns::begin(const ClaimedRun& claim, Clock::time_point asked) {
  auto run = std::make_unique<Active>();
  run->claim = claim;
  run->begun = Clock::now();
  run->limit = limit_of(asked);
  Active& added = *run;
  {
    const std::lock_guard lock(mutex_);
    active_.push_back(std::move(run));
    limits_changed();
  }
  try {
    if (!pool_) pool_.emplace(host_, options_);
    added.thread = start_thread([this, &added] { make_run(added); });
  } catch (const std::exception& failed) {  // for example, no more threads, or no worker program
    end_run(added, not_made(claim, failed));
  }
}

void ActiveRuns::make_run(Active& run) {
  const ClaimedRun& claim = run.claim;
  RunOptions options{.timeout = claim.timeout, .grace = lease_ / 30, .stop = run.stop.get_token()};
  options.scheduled = std::make_shared<const Scheduled>(
      Scheduled{claim.entry, time_of_microseconds(claim.due), claim.attempt});
  try {
    end_run(run, pool_->submit<std::string>(claim.module, claim.state, std::move(options)).get());
  } catch (const std::exception& failed) {
    end_run(run, not_made(claim, failed));
  }
}

void ActiveRuns::end_run(Active& run, std::variant<std::string, Error> outcome) {
  const std::lock_guard lock(mutex_);
  run.has_ended = true;
  ended_.push_back({run.claim, std::move(outcome), run.is_lost, Clock::now() - run.begun});
  changed_.notify_all();
}

Json ActiveRuns::keys() const {
  const std::lock_guard lock(mutex_);
  Json keys = Json::array();
  for (const auto& run : active_) {
    keys.push_back(run->claim.key());
  }
  return keys;
}

void ActiveRuns::renew(Clock::time_point asked, const Json& lost) {
  const std::lock_guard lock(mutex_);
  for (const auto& run : active_) {
    if (std::ranges::find(lost, run->claim.key()) == lost.end()) {
      if (run->begun <= asked) run->limit = limit_of(asked);
    } else if (!std::exchange(run->is_lost, true)) {
      run->stop.request_stop();
    }
  }
  limits_changed();
}

void ActiveRuns::cancel_all() {
  const std::lock_guard lock(mutex_);
  for (const auto& run : active_) run->stop.request_stop();
}

std::vector<EndedRun> ActiveRuns::take_ended() {
  std::vector<std::unique_ptr<Active>> done;
  std::vector<EndedRun> ended;
  {
    const std::lock_guard lock(mutex_);
    ended = std::exchange(ended_, {});
    // Not the range form, which clang 14 cannot compile with the standard library of gcc 12.
    const auto first = std::stable_partition(active_.begin(), active_.end(),
                                             [](const auto& run) { return !run->has_ended; });
    std::move(first, active_.end(), std::back_inserter(done));
    active_.erase(first, active_.end());
  }
  for (const auto& run : done) {
    if (run->thread.joinable()) run->thread.join();
  }
  return ended;
}

bool ActiveRuns::wait_until(Clock::time_point time) {
  std::unique_lock lock(mutex_);
  const bool woken = changed_.wait_until(lock, time, [this] { return woken_ || !ended_.empty(); });
  woken_ = false;
  return woken;
}

void ActiveRuns::wake() {
  const std::lock_guard lock(mutex_);
  woken_ = true;
  changed_.notify_all();
}

void ActiveRuns::watch(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    auto next = Clock::now() + std::chrono::hours(1);
    for (const auto& run : active_) {
      if (run->is_lost || run->has_ended) continue;
      if (run->limit > Clock::now()) {
        next = std::min(next, run->limit);
      } else {
        run->is_lost = true;
        run->stop.request_stop();
      }
    }
    watch_changed_.wait_until(lock, stop, next, [this] { return std::exchange(limits_changed_, false); });
  }
}

void ActiveRuns::limits_changed() {
  limits_changed_ = true;
  watch_changed_.notify_all();
}

}  // namespace pyhost::detail
