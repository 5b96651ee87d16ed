// Runs modules at the times that a schedule says, from a file, a database, or the application itself.
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
  Skip,   ///< It does not run. The history says so.
  Queue,  ///< One run waits until the earlier one has ended. Further ones are skipped.
  Allow,  ///< Both run.
};

/// Which due times still run after they passed while no scheduler was at work.
enum class Missed {
  None,    ///< Those that are not later than Entry::late.
  Latest,  ///< Only the latest one, however late it is.
  All,     ///< Each, but at most the latest 1,000.
};

/// The enumerator's name in lower case, as in an entry of a file.
std::string_view to_string(Overlap overlap) noexcept;
std::string_view to_string(Missed missed) noexcept;

/// One entry of a schedule: which module runs, with which state, and when. Exactly one of cron, every, at and
/// after must be set.
struct Entry {
  std::string name = {};        ///< Unique; the history refers to it.
  std::string module = {};      ///< The module's name, without `modules.` in front.
  Json state = Json::object();  ///< The module's create() receives it.
  std::string cron = {};        ///< As in "30 7 * * 1-5" or "@daily"; docs/schedule.md has the rules.
  std::optional<std::chrono::milliseconds> every =
      {};                    ///< Counted from when the entry was first seen; at least 1 s.
  std::string at = {};       ///< Once, as in "2026-12-24T18:00", in the time zone of `zone`.
  std::string after = {};    ///< The name of another entry; this one follows each of its runs that succeeded.
  std::string zone = "UTC";  ///< The time zone of cron and at, as in "Europe/Paris".
  Overlap overlap = Overlap::Skip;
  std::chrono::milliseconds late = std::chrono::minutes(10);  ///< Only used with Missed::None.
  Missed missed = Missed::Latest;
  std::optional<std::chrono::milliseconds> timeout = {};  ///< How long a run may take.
  int retries = 0;  ///< How often a failed run is repeated, with growing pauses; at most 100.
  bool enabled = true;
};

/// A run in the history of a schedule. Times are unset where they do not apply.
struct ScheduledRun {
  using Time = std::chrono::system_clock::time_point;
  std::string entry = {};
  Time due = {};
  int attempt = 1;
  /// queued, running, succeeded, failed, lost, skipped or missed. In the result of a call also "stopped",
  /// which the history calls lost, and of due() "due".
  std::string status = {};
  std::string owner = {};  ///< The process that ran it, as in "machine:pid:number".
  std::optional<Time> started = {};
  std::optional<Time> finished = {};
  std::optional<int> exit_code = {};       ///< What `pyhost run` would have exited with.
  std::optional<std::string> result = {};  ///< JSON text. Of more than 1 MB, the beginning is stored.
  std::optional<Error> error = {};         ///< Why it failed or was stopped.
  std::string message = {};                ///< Why it was skipped, missed or lost.
  bool triggered = false;                  ///< Started by Scheduler::trigger().
};

/// Why an entry is not used, or why the entries could not be read.
struct ScheduleProblem {
  std::string entry = {};  ///< Empty if it is about more than one entry.
  std::string place = {};  ///< File and line, or the row of the table.
  std::string message = {};
  std::string hint = {};
};

/// An entry as the scheduler sees it.
struct EntryStatus {
  Entry entry;
  std::string place = {};                     ///< File and line, or the row of the table.
  std::string when = {};                      ///< The time rule in words.
  std::vector<ScheduledRun::Time> next = {};  ///< The next due times; empty if there are none.
  std::vector<std::string> next_text = {};    ///< The same in the entry's zone.
  std::optional<ScheduledRun> last = {};      ///< The latest run that has ended.
  std::size_t running = 0;                    ///< How many runs are in progress.
};

/// The entries as they are at one point in time.
struct Schedule {
  ScheduledRun::Time now = {};  ///< That point in time, by the clock of the database.
  std::vector<EntryStatus> entries = {};
  std::vector<ScheduleProblem> problems = {};
};

enum class ScheduleEventKind {
  Started,       ///< This process has claimed a run and begins it.
  Succeeded,     ///< A run has a result.
  Failed,        ///< A run failed. It is tried again if the entry has retries left.
  Stopped,       ///< A run does not count: this process could not renew its claim, or store its outcome.
  Skipped,       ///< A due time does not run, because an earlier run of the entry was in progress.
  Missed,        ///< Due times have passed, and will not run.
  Lost,          ///< The process of a run is gone, or could not reach the database for too long.
  Reloaded,      ///< The entries have changed.
  Disconnected,  ///< The database is out of reach. Runs continue while their claims hold.
  Connected,     ///< The database is back.
};

/// The enumerator's name, as in "Started".
std::string_view to_string(ScheduleEventKind kind) noexcept;

/// Something that happened to a schedule. Its references are valid only during the callback.
struct ScheduleEvent {
  ScheduleEventKind kind;
  std::string_view entry;  ///< Empty for the last three kinds.
  ScheduledRun::Time due;
  int attempt;
  std::string_view message;               ///< The reason, if the kind is not enough.
  std::chrono::duration<double> seconds;  ///< How long the run took.
  const Error* error;                     ///< Why a run Failed; otherwise null.
};

/// Where a scheduler finds its entries, and how it runs them. Give `from`, or `entries` and `history`.
struct SchedulerOptions {
  /// A TOML file with a table [schedule], or "connection:NAME" for the table `pyhost_schedule` of one of the
  /// host's connections, SQLite or PostgreSQL. If it is empty, `entries` are used.
  std::string from = {};

  /// The entries, if `from` is empty. Scheduler::set_entries() replaces them.
  std::vector<Entry> entries = {};

  /// Where runs and claims are stored: an SQLite file, which is created if it does not exist, or
  /// "connection:NAME". If it is empty, the file says where, and `schedule.db` beside the file is the
  /// default. Entries in a database have their history in that database. With `entries`, it must be set.
  std::string history = {};

  /// The worker processes that make the runs. The isolation must be Isolation::Process: no other level can
  /// stop every run when its claim is lost.
  PoolOptions pool = {.isolation = Isolation::Process};

  /// How long the history keeps a run, and how many runs of each entry. If unset, the file says it, and the
  /// default is 30 days and 1,000 runs.
  std::optional<std::chrono::days> keep = {};
  std::optional<std::size_t> keep_runs = {};

  /// How long a claim holds if it is not renewed. It is renewed after a third of this time. If it cannot be
  /// renewed, the run is stopped when a sixth of this time is left. At least 1 s, and the same in all
  /// processes.
  std::chrono::milliseconds lease = std::chrono::seconds(30);

  /// Called for what happens to the schedule and its runs. Exceptions from it are ignored.
  /// Thread: the one that called tick(), run(), trigger() or due().
  std::function<void(const ScheduleEvent&)> on_event = {};

  /// Called for every error of a run, for entries that cannot be used, and when the database is out of reach.
  /// Exceptions from it are ignored.
  /// Thread: as on_event.
  std::function<void(const Error&)> on_error = {};
};

/// The outcome of a tick.
struct TickResult {
  std::vector<ScheduledRun> runs = {};  ///< In the order in which they ended.
  std::size_t failed = 0;               ///< How many of them failed or were stopped.
};

struct HistoryOptions {
  std::string entry = {};    ///< If empty: all.
  bool failed_only = false;  ///< Only failed and lost runs.
  std::size_t limit = 100;
};

/// Runs modules when they are due. Several schedulers, also on other machines, may share one database: each
/// due time is run by one of them. A worker process of its own makes the claims, so that no module can delay
/// them.
///
/// Throws: each function throws InvalidSchedule if the file or the database cannot be used, and Unreachable while
/// the database cannot be reached. A broken entry makes no function throw: it is left out, and reported.
/// Thread: any, but only one thread at a time may be in tick(), run() or trigger().
class Scheduler {
 public:
  /// Reads nothing yet. The host must outlive it.
  /// Throws: InvalidSchedule for options that cannot be used together.
  explicit Scheduler(Host& host, SchedulerOptions options);
  ~Scheduler();
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  /// Returns the entries in the order of their source, each with up to `next` of its next due times. Creates
  /// neither tables nor files.
  Schedule entries(std::size_t next = 1);

  /// Replaces SchedulerOptions::entries, also while run() is in progress. An entry whose time rule changes
  /// begins anew; other changes keep its due times.
  void set_entries(std::vector<Entry> entries);

  /// Returns the latest runs, the newest first.
  std::vector<ScheduledRun> history(const HistoryOptions& options = {});

  /// Returns what is due now, and reports entries that cannot be used. Runs and stores nothing.
  std::vector<ScheduledRun> due();

  /// Runs what is due, waits for these runs, and returns. `cancel` stops them.
  /// Throws what the last exchange with the database threw, after the runs that had begun have ended.
  TickResult tick(std::stop_token cancel = {});

  /// Runs what becomes due, until `stop` is requested; then the runs in progress end, unless `cancel` is
  /// requested, too. If the database goes out of reach later, it waits for it. Once `stop` is requested it
  /// waits no longer than a claim holds, and reports that to on_error.
  void run(std::stop_token stop, std::stop_token cancel = {});

  /// Runs an entry now, also one that is not enabled, and returns the run when it has ended. `cancel` stops
  /// it.
  /// Throws: InvalidSchedule if there is no such entry, or if a run of it is in progress and it does not allow
  /// another one.
  ScheduledRun trigger(std::string_view entry, std::stop_token cancel = {});

  /// Pauses or resumes an entry of a database: sets its column `enabled`.
  /// Throws: InvalidSchedule if there is no such entry, or if the entries are not in a database.
  void set_enabled(std::string_view entry, bool enabled);

 private:
  struct Data;
  std::unique_ptr<Data> data_;
};

}  // namespace pyhost
