// Feeds worker processes batches of runs, takes their results, and sees what becomes of a worker that fails.
#include "pool/process/process_worker.hpp"

#include <sys/eventfd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>

#include "error/duration_text.hpp"
#include "error/error_from_json.hpp"
#include "pool/process/batch.hpp"
#include "pool/process/call_threads.hpp"
#include "pool/process/lost_run.hpp"
#include "pool/process/messages.hpp"
#include "pool/process/process_link.hpp"
#include "pool/process/span_records.hpp"
#include "run/events.hpp"
#include "services/redirection.hpp"

namespace pyhost::detail {

namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto batch_time = 500us;       // that one batch should take
constexpr std::size_t most_runs = 1024;  // in a batch
constexpr auto first_peek = 1ms;         // at what a batch has come to, then twice as long, up to
constexpr auto last_peek = 16ms;
constexpr auto slow = 5ms;            // for a run that others wait behind
constexpr auto start_time = 60s;      // for the start of a worker
constexpr auto end_time = 1500ms;     // for its end, besides what its modules may take
constexpr auto stall_time = 10s;      // in which a worker begins no run of those that it has
constexpr auto pause = 100ms;         // until a worker is started again where there is no room for one
constexpr int max_failed_starts = 3;  // workers in a row that end before they begin a run

// What the workers of a pool have in common.
struct Setting {
  HostInternals host;
  std::filesystem::path program;
  std::string start;
  std::uint64_t max_runs;
  std::atomic<int> processes = 0;  // that live
};

std::atomic<std::uint64_t> last_process = 0;

Clock::time_point time_of(std::int64_t nanoseconds) {
  return Clock::time_point(
      std::chrono::duration_cast<Clock::duration>(std::chrono::nanoseconds(nanoseconds)));
}

class ProcessWorker : public Worker {
 public:
  explicit ProcessWorker(std::shared_ptr<Setting> setting)
      : setting_(std::move(setting)),
        spans_(setting_->host.options.on_span),
        wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (wake_) return;
    throw Error({.kind = ErrorKind::StartupFailed,
                 .phase = Phase::Start,
                 .message = "no worker process could be started: there are no descriptors left"});
  }

  void work(RunQueue& queue) override {
    queue_ = &queue;
    try {
      begin_process();  // so that it starts while the first run is waited for
    } catch (const Error&) {
      // The first run tells of it.
    }
    while (true) {
      try {
        if (!fill()) break;
        if (!in_flight_.empty()) poll_worker();
      } catch (const Error& error) {
        fail_all(error);
      }
    }
    end_process();
    queue_ = nullptr;
  }

  void cancel() noexcept override { wake(); }

 private:
  void wake() noexcept { static_cast<void>(eventfd_write(wake_.get(), 1)); }

  // --- what is to be made

  // Takes jobs and sends them, if the worker can take more. False once there are no more.
  bool fill() {
    while (may_send()) {
      if (backlog_.empty()) {
        Jobs taken;
        if (in_flight_.empty()) {
          if (!queue_->take(taken, most_, [this] { check_idle_worker(); })) return false;
        } else if (queue_->try_take(taken, most_) == 0) {
          break;
        }
        for (auto& job : taken) backlog_.push_back(std::move(job));
      }
      if (!send_batch() && !backlog_.empty()) break;  // the next one goes alone, after those
      if (most_ == 1) break;
    }
    return true;
  }

  bool may_send() const {
    if (in_flight_.empty()) return true;
    return in_flight_.size() < 2 && !retiring_ && !revoked_ && most_ > 1 && link_ && link_->is_sent() &&
           setting_->max_runs == 0;
  }

  // False if nothing is to be sent now.
  bool send_batch() {
    Batch batch;
    std::size_t bytes = 0;
    std::size_t most = most_;
    if (setting_->max_runs > 0) most = std::min<std::size_t>(most, setting_->max_runs - (link_ ? runs_ : 0));
    while (!backlog_.empty() && batch.jobs.size() < most) {
      Job& job = *backlog_.front();
      if (const auto refused = refusal_of(job)) {
        job.fail(*refused);
        backlog_.pop_front();
        continue;
      }
      // A large state goes alone, and as it is: the worker reads it at once.
      const bool large = job.state.size() > Batch::most_bytes;
      bytes += job.state.size() + job.module.size();
      if (!batch.jobs.empty() && bytes > Batch::most_bytes) break;
      if (large && !in_flight_.empty()) break;
      batch.jobs.push_back(std::move(backlog_.front()));
      backlog_.pop_front();
    }
    if (batch.jobs.empty()) return false;
    if (in_flight_.empty()) check_idle_worker();  // so that one which ended in the meantime costs no run
    if (!link_) {
      try {
        begin_process();
      } catch (const Error&) {
        if (setting_->processes > 0) {
          leave_to_others(std::move(batch.jobs));
          return false;
        }
        in_flight_.push_back(std::move(batch));
        throw;
      }
    }
    put(batch);
    in_flight_.push_back(std::move(batch));
    return true;
  }

  void put(Batch& batch) {
    batch.number = ++last_batch_;
    batch.sent = Clock::now();
    slot_of(batch).clear();
    for (const auto& job : batch.jobs) {
      if (job->stop.stop_possible())
        batch.stops.push_back(std::make_unique<Batch::OnStop>(job->stop, [this] { wake(); }));
    }
    if (spans_) {
      batch.on_spans = [this](const Job& job, std::string_view records) {
        spans_.made(job, number_, records);
      };
      link_->on_sent = [this, module = batch.jobs.front()->module, runs = batch.jobs.size(),
                        begun = batch.sent] { spans_.sent(module, runs, begun); };
    }
    batch.send(*link_);
    runs_ += batch.jobs.size();
    if (setting_->max_runs > 0 && runs_ >= setting_->max_runs) retiring_ = true;
    peek_ = first_peek;
    peek_at_ = batch.sent + peek_;
  }

  // Why it is not to be begun.
  std::optional<Error> refusal_of(const Job& job) const {
    if (is_cancelled(job)) return not_begun(job, ErrorKind::Cancelled);
    if (job.timeout && *job.timeout <= 0ms) return not_begun(job, ErrorKind::TimedOut);
    if (job.state.size() + job.module.size() + sizeof(RunItem) <= longest_content) return std::nullopt;
    return Error({.kind = ErrorKind::InvalidState,
                  .phase = Phase::Create,
                  .module = job.module,
                  .message = "the state of module '" + job.module + "' has " +
                             std::to_string(job.state.size()) +
                             " bytes, and a worker process takes 4 GiB at most",
                  .hint = "give the module the name of a file"});
  }

  // There is no room for one more worker, and those that there are make the runs.
  void leave_to_others(Jobs jobs) {
    give_back(std::move(jobs));
    std::this_thread::sleep_for(pause);
  }

  // These, and what was taken after them, are for whoever is free.
  void give_back(Jobs jobs = {}) {
    for (auto& job : std::exchange(backlog_, {})) jobs.push_back(std::move(job));
    queue_->put_back(std::move(jobs));
  }

  bool is_cancelled(const Job& job) const { return queue_->is_cancelled(job) || job.stop.stop_requested(); }

  // --- while runs are under way

  void poll_worker() {
    try {
      if (!link_->wait(wake_.get(), next_look(), [this](WireFrame frame) { take(std::move(frame)); })) {
        return handle_death({});
      }
      if (!look()) return;
    } catch (const std::exception& broken) {  // a BrokenFrame, or JSON that is none of ours
      return handle_death(broken.what());
    }
    if (!in_flight_.empty() || !retiring_) return;
    const bool hopeless = failed_starts_ >= max_failed_starts;
    if (!hopeless) give_back();  // its end may take long
    end_process();
    if (hopeless) fail_all(no_worker({}, "it can open no files"));
  }

  // When to look again, if nothing comes.
  std::optional<Clock::time_point> next_look() {
    std::optional<Clock::time_point> next;
    const auto at = [&](Clock::time_point time) { next = next ? std::min(*next, time) : time; };
    if (!ready_) at(begun_ + start_time);
    if (kill_at_) at(*kill_at_);
    const Batch& front = in_flight_.front();
    if (const auto stalled = stalled_at()) at(*stalled);
    if (const auto index = running()) {
      if (const auto& timeout = front.jobs[*index]->timeout) at(running_since(front) + *timeout);
    } else if (ready_) {
      for (std::size_t i = front.told; i < front.jobs.size(); ++i) {
        if (const auto& timeout = front.jobs[i]->timeout) at(Clock::now() + std::max(*timeout, 1ms));
      }
    }
    if (front.jobs.size() - front.told > 1 || in_flight_.size() > 1 || !backlog_.empty()) at(peek_at_);
    return next;
  }

  BatchSlot& slot_of(const Batch& batch) { return batch.slot(link_->process().page()); }

  // Which of the first batch's runs is under way.
  std::optional<std::size_t> running() {
    if (in_flight_.empty() || !link_) return std::nullopt;
    const Batch& front = in_flight_.front();
    const BatchSlot& slot = slot_of(front);
    const std::size_t finished = slot.finished.load(std::memory_order_acquire);
    const std::size_t claimed = slot.claimed();
    if (claimed != finished + 1 || claimed > front.jobs.size()) return std::nullopt;
    return finished;
  }

  // When it has begun nothing for too long, if it begins nothing; whoever asks has looked at it.
  std::optional<Clock::time_point> stalled_at() {
    if (!ready_ || !link_->is_sent() || running()) {
      idle_since_.reset();
      return std::nullopt;
    }
    const Batch& front = in_flight_.front();
    const std::uint64_t claimed = place_in_batch(front.number, slot_of(front).claimed());
    if (!idle_since_ || claimed != idle_at_) idle_since_ = Clock::now();
    idle_at_ = claimed;
    return *idle_since_ + stall_time;
  }

  Clock::time_point running_since(const Batch& batch) {
    return std::min(time_of(slot_of(batch).begun_at.load(std::memory_order_relaxed)), Clock::now());
  }

  // What the time asks for. False if there is no worker any more.
  bool look() {
    eventfd_t woken = 0;
    if (eventfd_read(wake_.get(), &woken) == 0) {
      send_answers();
      if (!drop_cancelled_runs()) return false;
    }
    if (in_flight_.empty()) return true;
    const auto now = Clock::now();
    if (!ready_ && now >= begun_ + start_time) {
      handle_death("it was not ready after a minute");
      return false;
    }
    if (const auto stalled = stalled_at(); stalled && now >= *stalled) {
      handle_death("it began no run in " + in_seconds(stall_time));
      return false;
    }
    if (kill_at_ && now >= *kill_at_) return !stop_running(ErrorKind::Cancelled);
    if (const auto index = running()) {
      const Batch& front = in_flight_.front();
      const auto& timeout = front.jobs[*index]->timeout;
      if (timeout && now >= running_since(front) + *timeout) return !stop_running(ErrorKind::TimedOut);
    }
    if (now >= peek_at_) peek(now);
    return true;
  }

  // Gives out what is finished, and lets nothing wait behind a run that is slow.
  void peek(Clock::time_point now) {
    peek_ = std::min<Clock::duration>(2 * peek_, last_peek);
    peek_at_ = now + peek_;
    const std::size_t finished = slot_of(in_flight_.front()).finished.load(std::memory_order_acquire);
    const std::uint64_t number = in_flight_.front().number;
    // What came with them goes before them.
    if (link_->receive([this](WireFrame frame) { take(std::move(frame)); }) != FrameReader::Got::Nothing)
      return;
    if (in_flight_.empty() || in_flight_.front().number != number) return;
    tell(in_flight_.front(), finished);
    if (!revoked_ && running() && now - running_since(in_flight_.front()) >= slow && link_->is_sent()) {
      revoke();
      most_ = 1;
      give_back();
    }
  }

  // No run is begun any more of what is under way; those that are not go back to be begun by another worker.
  void revoke() {
    revoked_ = true;
    std::deque<std::unique_ptr<Job>> back;
    for (Batch& batch : in_flight_) {
      const std::size_t claimed = std::min<std::size_t>(slot_of(batch).revoke(), batch.jobs.size());
      for (std::size_t i = claimed; i < batch.jobs.size(); ++i) back.push_back(std::move(batch.jobs[i]));
      runs_ -= batch.jobs.size() - claimed;
      batch.jobs.resize(claimed);
    }
    for (auto& job : backlog_) back.push_back(std::move(job));
    backlog_ = std::move(back);
  }

  // Fails what nobody wants any more; false if that ended the worker.
  bool drop_cancelled_runs() {
    const auto unwanted = [this](const std::unique_ptr<Job>& job) { return job && is_cancelled(*job); };
    if (std::ranges::none_of(in_flight_,
                             [&](const Batch& batch) { return std::ranges::any_of(batch.jobs, unwanted); }))
      return true;
    const bool is_only_one = in_flight_.size() == 1 && in_flight_.front().jobs.size() == 1;
    if (is_only_one && !link_->is_sent() && !running()) {  // a large state, which need not go on
      handle_death({}, ErrorKind::Cancelled);
      return false;
    }
    revoke();
    for (auto at = backlog_.begin(); at != backlog_.end();) {
      if (!is_cancelled(**at)) {
        ++at;
        continue;
      }
      (*at)->fail(not_begun(**at, ErrorKind::Cancelled));
      at = backlog_.erase(at);
    }
    give_back();
    const auto index = running();
    if (!index || kill_at_ || !is_cancelled(*in_flight_.front().jobs[*index])) return true;
    link_->process().page().cancelled = place_in_batch(in_flight_.front().number, *index) + 1;
    link_->process().ring();
    kill_at_ = Clock::now() + grace_of_stopped;
    return true;
  }

  // Kills the worker for its run; false if that was over by then.
  bool stop_running(ErrorKind why) {
    revoke();
    if (!running()) {
      kill_at_.reset();
      return false;
    }
    link_->process().request_stack_dump();
    handle_death({}, why);
    return true;
  }

  // --- what comes from the worker

  void take(WireFrame frame) {
    if (frame.missing > 0) throw BrokenFrame("there is no memory here for what it sent");
    switch (frame.kind) {
      case FrameKind::Ready:
        ready_ = true;
        return spans_.started(begun_, frame.number);
      case FrameKind::NotStarted:
        not_started_ = error_from_json(json_of(frame));
        return;
      case FrameKind::Result:
      case FrameKind::Failure:
      case FrameKind::Spans:
        return take_large(std::move(frame));
      case FrameKind::Done:
        return take_done(frame);
      case FrameKind::Ask:
        return answer(frame);
      case FrameKind::Output:
        return tell_output(frame);
      case FrameKind::Log: {
        LogRecord record = record_from(json_of(frame));
        record.run = run_of_worker(number_, record.run);
        if (setting_->host.logging != nullptr) setting_->host.logging->put(std::move(record));
        return;
      }
      case FrameKind::LogsDropped:
        if (setting_->host.logging != nullptr) setting_->host.logging->add_dropped(frame.number);
        return;
      case FrameKind::Event:
        return tell_event(json_of(frame), number_, setting_->host.options.on_event);
      case FrameKind::Seen:
        return setting_->host.host_state.notify_error(error_from_json(json_of(frame)));
      default:
        throw BrokenFrame("a frame is of a kind that no worker sends");
    }
  }

  void tell_output(const WireFrame& frame) {
    const std::size_t end = std::min(frame.content.find('\n'), frame.content.size());
    const auto stream = frame.number == 1 ? Output::Stream::Stdout : Output::Stream::Stderr;
    const std::string_view all = frame.content;
    try {
      deliver(setting_->host.output, {all.substr(0, end), stream, all.substr(std::min(end + 1, all.size()))});
    } catch (...) {
      // The module that wrote is far away, and went on.
    }
  }

  Batch& batch_of(std::uint64_t number) {
    for (Batch& batch : in_flight_) {
      if (batch.number == number) return batch;
    }
    throw BrokenFrame("a frame is about runs that were not asked for");
  }

  void take_large(WireFrame frame) {
    Batch& batch = batch_of(frame.number >> 32);
    const auto index = static_cast<std::uint32_t>(frame.number);
    if (index < batch.told || index >= batch.jobs.size())
      throw BrokenFrame("a frame is about a run that was not asked for");
    if (frame.kind == FrameKind::Spans) {
      batch.large_spans.insert_or_assign(index, std::move(frame.content));
    } else {
      batch.large.insert_or_assign(index, std::move(frame));
    }
  }

  void take_done(const WireFrame& frame) {
    if (in_flight_.empty() || in_flight_.front().number != frame.number)
      throw BrokenFrame("a frame is about runs that were not asked for");
    Batch& batch = in_flight_.front();
    const std::size_t finished = slot_of(batch).finished.load(std::memory_order_acquire);
    tell(batch, finished);
    if (frame.content == "spent") {
      retiring_ = true;
      revoke();
    }
    if (batch.told < batch.jobs.size()) throw BrokenFrame("it says that runs are over which are not");
    failed_starts_ = retiring_ && finished == 0 ? failed_starts_ + 1 : 0;
    kill_at_.reset();
    if (finished > 0 && !revoked_) adapt(batch, finished);
    in_flight_.pop_front();
    if (in_flight_.empty()) revoked_ = false;
    peek_ = first_peek;
    peek_at_ = Clock::now() + peek_;
    if (!in_flight_.empty()) in_flight_.front().sent = Clock::now();
  }

  void adapt(const Batch& batch, std::size_t finished) {
    const auto each = (Clock::now() - batch.sent) / static_cast<std::int64_t>(finished);
    const auto fit = static_cast<std::size_t>(
        std::max<std::int64_t>(1, Clock::duration(batch_time) / std::max<Clock::duration>(each, 1ns)));
    most_ = std::min({fit, 2 * finished, most_runs});
  }

  void tell(Batch& batch, std::size_t finished) { batch.tell(link_->process().page(), finished); }

  // Services may take long, and wait for each other.
  void answer(const WireFrame& frame) {
    call_threads_.call([this, process = number_, number = frame.number, question = json_of(frame)] {
      std::string text;
      try {
        text = json_frame_text(FrameKind::Answer, number, setting_->host.services.answer(question));
      } catch (const std::exception& failed) {
        text = json_frame_text(
            FrameKind::Answer, number,
            Json{{"raised", {{"type", "std::exception"}, {"message", failed.what()}, {"kind", ""}}}});
      }
      {
        const std::lock_guard lock(answering_);
        answers_.emplace_back(process, std::move(text));
      }
      wake();
    });
  }

  void send_answers() {
    std::vector<std::pair<std::uint64_t, std::string>> answers;
    {
      const std::lock_guard lock(answering_);
      answers.swap(answers_);
    }
    for (auto& [process, text] : answers) {
      if (process == number_ && link_) link_->put(std::move(text));
    }
  }

  // --- the life of a worker process

  void begin_process() {
    link_.emplace(setting_->program, setting_->start);
    ++setting_->processes;
    number_ = ++last_process;
    begun_ = Clock::now();
    ready_ = retiring_ = revoked_ = false;
    runs_ = 0;
    kill_at_.reset();
    idle_since_.reset();
    not_started_.reset();
  }

  void forget_process() {
    if (link_) --setting_->processes;
    link_.reset();
  }

  // What a worker says and asks that has nothing to do, and whether it is there: one that has ended is
  // buried.
  void check_idle_worker() {
    if (!link_) return;
    try {
      send_answers();
      if (link_->wait(-1, Clock::now(), [this](WireFrame frame) { take(std::move(frame)); })) return;
    } catch (const std::exception&) {
      // It has no run that could fail by what it has broken.
    }
    forget_process();
  }

  // With what it still has to say.
  void end_process() {
    if (!link_) return;
    try {
      link_->put(frame_text(FrameKind::End, 0, std::string_view()));
      const auto until = Clock::now() + setting_->host.options.shutdown_timeout + end_time;
      while (Clock::now() < until &&
             link_->wait(wake_.get(), until, [this](WireFrame frame) { take(std::move(frame)); })) {
        eventfd_t woken = 0;
        if (eventfd_read(wake_.get(), &woken) == 0)
          send_answers();  // what is called in the end gets them, too
      }
      link_->process().ends_within(
          std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now()));
    } catch (const std::exception&) {
      // It has no run any more that could fail by what it has broken.
    }
    forget_process();
  }

  // The worker is gone, or is to go. One run at most was under way, and fails; what was finished counts, and
  // what was not begun is begun by the next worker.
  void handle_death(std::string broken, std::optional<ErrorKind> killed = std::nullopt) {
    if (!killed && broken.empty() && !link_->process().ends_within(200ms)) broken = "it closed its channel";
    const ExitStatus exit_status = link_->process().kill();
    try {
      while (link_->receive([this](WireFrame frame) { take(std::move(frame)); }) == FrameReader::Got::Bytes) {
      }
    } catch (const std::exception& failed) {
      if (broken.empty() && !killed) broken = failed.what();
    }
    if (broken.empty() && !killed && link_->is_within_frame()) broken = "a frame was cut short";
    if (in_flight_.empty()) return forget_process();
    revoke();
    bool lost_one = false;
    for (Batch& batch : in_flight_) {
      try {
        tell(batch, slot_of(batch).finished.load(std::memory_order_acquire));
      } catch (const std::exception& failed) {
        if (broken.empty()) broken = failed.what();
      }
      for (; batch.told < batch.jobs.size(); ++batch.told) {
        lost_one = true;
        fail_lost(*batch.jobs[batch.told], running_since(batch), exit_status, broken, killed);
      }
    }
    in_flight_.clear();
    most_ = 1;
    const bool is_blameless = lost_one || killed;  // it had begun a run, or was ended by this pool
    failed_starts_ = is_blameless ? 0 : failed_starts_ + 1;
    const std::optional<Error> why = std::exchange(not_started_, std::nullopt);
    forget_process();
    if (is_blameless || (!why && failed_starts_ < max_failed_starts)) return;
    failed_starts_ = 0;
    fail_all(why ? *why : no_worker(exit_status, broken));
  }

  // No worker can be had for these.
  void fail_all(const Error& error) {
    for (Batch& batch : std::exchange(in_flight_, {})) {
      for (auto& job : batch.jobs) {
        if (job) backlog_.push_back(std::move(job));
      }
    }
    for (const auto& job : std::exchange(backlog_, {})) {
      Error::Data data{.kind = error.kind(),
                       .phase = error.phase(),
                       .module = job->module,
                       .message = error.message(),
                       .hint = error.hint(),
                       .place = error.place(),
                       .exception = error.exception()};
      job->fail(Error(std::move(data)));
    }
  }

  void fail_lost(Job& job, Clock::time_point begun, const ExitStatus& exit_status, const std::string& broken,
                 std::optional<ErrorKind> killed) {
    job.seconds = std::chrono::duration<double>(Clock::now() - begun).count();
    const Loss loss{exit_status, broken, killed};
    const Error error = lost_run(job, loss, link_->process().trace());
    spans_.lost(job, begun);
    setting_->host.host_state.notify_error(error);
    if (const auto& on_event = setting_->host.options.on_event)
      call_on_event(on_event, event_of(EventKind::Failed, job.module, 0, begun, &error));
    job.fail(error);
  }

  std::shared_ptr<Setting> setting_;
  ProcessSpans spans_;
  Descriptor wake_;
  RunQueue* queue_ = nullptr;
  std::deque<std::unique_ptr<Job>> backlog_;  // taken, and to be sent first
  std::deque<Batch> in_flight_;               // two at most
  std::size_t most_ = 1;
  std::uint64_t last_batch_ = 0;

  std::optional<ProcessLink> link_;
  std::uint64_t number_ = 0;
  Clock::time_point begun_;
  bool ready_ = false;
  bool retiring_ = false;  // it gets no more runs
  bool revoked_ = false;   // what is under way is the last for now
  std::uint64_t runs_ = 0;
  int failed_starts_ = 0;
  std::optional<Error> not_started_;
  std::optional<Clock::time_point> kill_at_;
  std::optional<Clock::time_point> idle_since_;  // that it has work, and is not at it,
  std::uint64_t idle_at_ = 0;                    // and how far it was then
  Clock::duration peek_ = first_peek;
  Clock::time_point peek_at_;

  std::mutex answering_;
  std::vector<std::pair<std::uint64_t, std::string>> answers_;
  CallThreads call_threads_;  // the last member: its threads use the others
};

}  // namespace

std::vector<std::unique_ptr<Worker>> make_process_workers(const HostInternals& host,
                                                          const PoolOptions& options, std::size_t count) {
  const std::shared_ptr<Setting> setting(new Setting{
      host, find_worker(options.worker),
      json_frame_text(FrameKind::Start, 0, start_message(host, {options.memory_limit, options.max_resident})),
      options.max_runs_per_worker});
  std::vector<std::unique_ptr<Worker>> workers;
  for (std::size_t i = 0; i < count; ++i) workers.push_back(std::make_unique<ProcessWorker>(setting));
  return workers;
}

}  // namespace pyhost::detail
