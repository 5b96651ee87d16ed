// A scheduler, which runs modules at the times of a schedule: from a file, a database, or the application.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "pyhost/error.hpp"
#include "pyhost/json.hpp"
#include "pyhost/pool.hpp"

namespace pyhost {

/// The rule for an entry that becomes due while an earlier run of it is still in progress.
enum class Overlap {
  Skip,   ///< The new run is skipped. The history contains it with the status "skipped".
  Queue,  ///< One run waits until the earlier one has ended. Further ones are skipped.
  Allow,  ///< Both run.
};

/// The rule for due times that passed while no scheduler was running.
enum class Missed {
  None,    ///< Due times run if they passed no longer ago than Entry::late.
  Latest,  ///< Only the latest due time runs, no matter how long ago it was.
  All,     ///< Each due time runs, but at most the latest 1,000.
};

/// Returns the enumerator's name in lower case, as in the entries of a file.
std::string_view to_string(Overlap overlap) noexcept;
std::string_view to_string(Missed missed) noexcept;

/// One entry of a schedule: which module runs, with which state, and when. Exactly one of `cron`, `every`,
/// `at` and `after` must be set.
struct Entry {
  std::string name = {};        ///< The unique name of the entry. It also identifies its runs in the history.
  std::string module = {};      ///< The module's name, without `modules.` in front.
  Json state = Json::object();  ///< The state that the module's `create()` receives.
  /// A cron expression, as in `30 7 * * 1-5` or `@daily`. docs/schedule.md has the rules.
  std::string cron = {};
  /// The interval between runs, counted from when the entry was first seen. At least 1 s.
  std::optional<std::chrono::milliseconds> every = {};
  std::string at = {};       ///< The time of a single run, as in "2026-12-24T18:00".
  std::string after = {};    ///< The name of another entry. This one runs after each successful run of it.
  std::string zone = "UTC";  ///< The time zone of `cron` and `at`, as in "Europe/Paris".
  Overlap overlap = Overlap::Skip;  ///< The rule if an earlier run is still in progress.
  /// How late a run may begin, with Missed::None.
  std::chrono::milliseconds late = std::chrono::minutes(10);
  Missed missed = Missed::Latest;  ///< The rule for due times that passed while no scheduler was running.
  std::optional<std::chrono::milliseconds> timeout = {};  ///< The timeout of a run. None by default.
  int retries = 0;      ///< How often a failed run is repeated, with increasing delays. At most 100.
  bool enabled = true;  ///< Whether the entry becomes due. Scheduler::trigger() works in any case.
};

/// A run in the history of a schedule.
struct ScheduledRun {
  /// The type of due times, and of other times of a schedule.
  using Time = std::chrono::system_clock::time_point;
  std::string entry = {};  ///< The name of the entry.
  Time due = {};           ///< When it was due.
  int attempt = 1;         ///< The number of the attempt, from 1.
  /// "queued", "running", "succeeded", "failed", "lost", "skipped" or "missed". In the result of
  /// Scheduler::tick() or Scheduler::trigger() also "stopped", which is "lost" in the history. In the result
  /// of Scheduler::due() always "due".
  std::string status = {};
  std::string owner = {};             ///< The process that executed it, as in "machine:pid:number".
  std::optional<Time> started = {};   ///< When it was started, if it was.
  std::optional<Time> finished = {};  ///< When it ended, if it has.
  std::optional<int> exit_code = {};  ///< The exit code of `pyhost run` for the same outcome.
  /// The result as JSON text. If it is over 1 MB, an object with its beginning: see docs/schedule.md.
  std::optional<std::string> result = {};
  std::optional<Error> error = {};  ///< The error, if it failed or was stopped.
  std::string message = {};         ///< The reason, if it was skipped, missed or lost.
  bool triggered = false;           ///< Whether Scheduler::trigger() started it.
};

/// A problem of a schedule: an entry is not used, or the entries could not be read.
struct ScheduleProblem {
  std::string entry = {};    ///< The name of the entry, or empty if the problem concerns several.
  std::string place = {};    ///< The file and line, or the row of the table.
  std::string message = {};  ///< A description of the problem.
  std::string hint = {};     ///< A suggestion how to fix it, or empty.
};

/// An entry with its due times and runs.
struct EntryStatus {
  Entry entry;                                ///< The entry.
  std::string place = {};                     ///< The file and line, or the row of the table.
  std::string when = {};                      ///< The time rule in words.
  std::vector<ScheduledRun::Time> next = {};  ///< The next due times, or empty if there are none.
  std::vector<std::string> next_text = {};    ///< The next due times as text, in the entry's zone.
  std::optional<ScheduledRun> last = {};      ///< The latest run that has ended, if there is one.
  std::size_t running = 0;                    ///< The number of runs in progress.
};

/// The entries of a schedule at one point in time.
struct Schedule {
  ScheduledRun::Time now = {};                 ///< The point in time, by the clock of the database.
  std::vector<EntryStatus> entries = {};       ///< The entries that are valid.
  std::vector<ScheduleProblem> problems = {};  ///< The problems of entries that are left out.
};

/// The kinds of events of a schedule.
enum class ScheduleEventKind {
  Started,       ///< This process has claimed a run and started it.
  Succeeded,     ///< A run has a result.
  Failed,        ///< A run failed. It is repeated if the entry has retries left.
  Stopped,       ///< A run was discarded: this process could not renew its claim, or store its outcome.
  Skipped,       ///< A due time does not run, because an earlier run of the entry was in progress.
  Missed,        ///< Due times have passed, and will not run.
  Lost,          ///< The process of a run has died, or could not reach the database for too long.
  Reloaded,      ///< The entries have changed.
  Disconnected,  ///< The database cannot be reached. Runs continue while their claims are valid.
  Connected,     ///< The database can be reached again.
};

/// Returns the enumerator's name, as in "Started".
std::string_view to_string(ScheduleEventKind kind) noexcept;

/// An event of a schedule or of one of its runs, for SchedulerOptions::on_event.
/// Ownership: valid only during the callback.
struct ScheduleEvent {
  ScheduleEventKind kind;                 ///< The kind of the event.
  std::string_view entry;                 ///< The name of the entry. Empty for the last three kinds.
  ScheduledRun::Time due;                 ///< When the run was due.
  int attempt;                            ///< The number of the attempt, from 1.
  std::string_view message;               ///< Details, or empty.
  std::chrono::duration<double> seconds;  ///< How long the run took.
  const Error* error;                     ///< The error, for Failed. Otherwise null.
};

/// The options of a scheduler. Set `from`, or `entries` and `history`.
struct SchedulerOptions {
  /// A TOML file with a table `[schedule]`, or "connection:NAME" for the table `pyhost_schedule` of one of
  /// the host's connections, SQLite or PostgreSQL.
  /// Default: empty, which means that `entries` are used.
  std::string from = {};

  /// The entries, if `from` is empty. Scheduler::set_entries() can replace them.
  std::vector<Entry> entries = {};

  /// The database for runs and claims: an SQLite file, which is created if it does not exist, or
  /// "connection:NAME". It must be set if `from` is empty. If the entries are in a database, the history is
  /// in the same one.
  /// Default: the `history` in the TOML file, or `schedule.db` next to it.
  std::string history = {};

  /// The worker processes that execute the runs. The isolation must be Isolation::Process, because only a
  /// process can be stopped reliably when its claim is lost.
  PoolOptions pool = {.isolation = Isolation::Process};

  /// How long a run stays in the history.
  /// Default: the `keep_days` in the TOML file, or 30 days.
  std::optional<std::chrono::days> keep = {};

  /// The number of runs of each entry that stay in the history.
  /// Default: the `keep_runs` in the TOML file, or 1,000.
  std::optional<std::size_t> keep_runs = {};

  /// How long a claim is valid if it is not renewed. It is renewed after a third of this time. If it cannot
  /// be renewed, the run is stopped when a sixth of this time is left. It must be at least 1 s, and the same
  /// in all processes.
  std::chrono::milliseconds lease = std::chrono::seconds(30);

  /// Called for every event of the schedule and its runs. Exceptions from it are ignored.
  /// Thread: the thread that called Scheduler::tick(), run(), trigger() or due().
  std::function<void(const ScheduleEvent&)> on_event = {};

  /// Called for every error of a run, for entries that cannot be used, and when the database cannot be
  /// reached. Exceptions from it are ignored.
  /// Thread: as on_event.
  std::function<void(const Error&)> on_error = {};
};

/// The result of Scheduler::tick().
struct TickResult {
  std::vector<ScheduledRun> runs = {};  ///< The runs, in the order in which they ended.
  std::size_t failed = 0;               ///< The number of runs that failed or were stopped.
};

/// The options of Scheduler::history().
struct HistoryOptions {
  std::string entry = {};    ///< The name of an entry. Empty for all entries.
  bool failed_only = false;  ///< Whether to return only failed and lost runs.
  std::size_t limit = 100;   ///< The largest number of runs to return.
};

/// Runs modules when they are due. It cannot be copied or moved.
///
/// Several schedulers, also on different machines, can share one database. Each due time is then run by one
/// of them. A separate worker process makes the claims, so that no module can delay them.
///
/// Ownership: the host must outlive the scheduler.
/// Throws: each function throws InvalidSchedule if the file or the database cannot be used, and Unreachable
/// if the database cannot be reached. An entry that is not valid does not cause an exception: it is left out
/// and reported.
/// Thread: any, but only one thread at a time may be in tick(), run() or trigger().
class Scheduler {
 public:
  /// Creates a scheduler. Reads neither files nor databases yet.
  /// Throws: InvalidSchedule if the options contradict each other.
  explicit Scheduler(Host& host, SchedulerOptions options);

  /// Ends the worker processes.
  ~Scheduler();
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  /// Returns the entries in the order of their source, each with up to `next` due times. Creates neither
  /// tables nor files.
  Schedule entries(std::size_t next = 1);

  /// Replaces SchedulerOptions::entries. You may call it while run() is in progress. If the time rule of an
  /// entry changes, the entry starts over as a new one. Other changes do not affect its due times.
  void set_entries(std::vector<Entry> entries);

  /// Returns the latest runs, the newest first.
  std::vector<ScheduledRun> history(const HistoryOptions& options = {});

  /// Returns the runs that are due now, without running them, and reports entries that cannot be used. Stores
  /// nothing.
  std::vector<ScheduledRun> due();

  /// Runs everything that is due, and waits for these runs. `cancel` cancels them.
  /// Throws: the error of the last access to the database, if it failed, once the runs in progress have
  /// ended.
  TickResult tick(std::stop_token cancel = {});

  /// Runs everything that becomes due, until `stop` is requested. Then waits for the runs in progress.
  /// `cancel` cancels them. If the database cannot be reached later, waits for it. After `stop`, it waits for
  /// it no longer than a claim is valid, and then reports the problem to on_error.
  void run(std::stop_token stop, std::stop_token cancel = {});

  /// Runs an entry now, even if it is not enabled, and returns the run after its end. `cancel` cancels it.
  /// Throws: InvalidSchedule if there is no such entry, or if a run of it is in progress and `overlap` does
  /// not allow another one.
  ScheduledRun trigger(std::string_view entry, std::stop_token cancel = {});

  /// Enables or disables an entry in a database, by setting its column `enabled`.
  /// Throws: InvalidSchedule if there is no such entry, or if the entries are not in a database.
  void set_enabled(std::string_view entry, bool enabled);

 private:
  struct Data;
  std::unique_ptr<Data> data_;
};

}  // namespace pyhost
