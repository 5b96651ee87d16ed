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

/// What happens if an entry is due while a run of it is in progress.
enum class Overlap {
  Skip,   ///< The run is skipped, which the history shows.
  Queue,  ///< One run waits for the end of the one in progress. Further ones are skipped.
  Allow,  ///< Both run.
};

/// Which of the due times still run that nobody could begin in time.
enum class Missed {
  None,    ///< Those that are not later than Entry::late.
  Latest,  ///< The latest one of all that wait, however late it is.
  All,     ///< Each, but at most the latest 1,000.
};

/// One entry of a schedule: which module runs, with which state, and when. Exactly one of cron, every, at and
/// after must be set.
struct Entry {
  std::string name = {};        ///< Unique; the history refers to it.
  std::string module = {};      ///< Without `modules.`.
  Json state = Json::object();  ///< For the module's create().
  std::string cron = {};        ///< Five fields, or `@daily` and the like.
  std::optional<std::chrono::milliseconds> every =
      {};                    ///< From the time the entry was first seen; 1 s or more.
  std::string at = {};       ///< Once, as in "2026-12-24T18:00", in the entry's zone.
  std::string after = {};    ///< The name of an entry: runs after each of its runs that succeeded.
  std::string zone = "UTC";  ///< For cron and at, as in "Europe/Paris".
  Overlap overlap = Overlap::Skip;
  std::chrono::milliseconds late = std::chrono::minutes(10);  ///< See Missed::None.
  Missed missed = Missed::Latest;
  std::optional<std::chrono::milliseconds> timeout = {};  ///< Of each run.
  int retries = 0;  ///< How often a failed run is repeated, with growing pauses; at most 100.
  bool enabled = true;
};

/// A run in the history of a schedule. Times are unset where they do not apply.
struct ScheduledRun {
  using Time = std::chrono::system_clock::time_point;
  std::string entry = {};
  Time due = {};
  int attempt = 1;
  std::string status = {};  ///< queued, running, succeeded, failed, lost, skipped or missed.
  std::string owner = {};   ///< The process that ran it, as in "machine:pid:…".
  std::optional<Time> started = {};
  std::optional<Time> finished = {};
  std::optional<int> exit_code = {};       ///< As of `pyhost run`.
  std::optional<std::string> result = {};  ///< JSON text; of more than 1 MB only the beginning.
  std::optional<Error> error = {};         ///< Of failed.
  std::string message = {};                ///< Of skipped, missed and lost: why.
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

/// All entries at one point in time.
struct Schedule {
  ScheduledRun::Time now = {};  ///< By the clock of the database.
  std::vector<EntryStatus> entries = {};
  std::vector<ScheduleProblem> problems = {};
};

enum class ScheduleEventKind {
  Started,       ///< A run has been claimed and begins.
  Succeeded,     ///< It has a result.
  Failed,        ///< It failed. It is repeated if the entry has retries left.
  Stopped,       ///< It was stopped, because this process could not renew its claim.
  Skipped,       ///< An earlier run of the entry was in progress.
  Missed,        ///< Due times passed that will not run.
  Lost,          ///< The process that ran it is gone.
  Reloaded,      ///< The entries have changed.
  Disconnected,  ///< The database is out of reach. Runs go on as long as their claims hold.
  Connected,     ///< The database is back.
};

/// The enumerator's name, as in "Started".
std::string_view to_string(ScheduleEventKind kind) noexcept;

/// Valid during the callback.
struct ScheduleEvent {
  ScheduleEventKind kind;
  std::string_view entry;  ///< Empty for the last three kinds.
  ScheduledRun::Time due;
  int attempt;
  std::string_view message;               ///< Why, where the kind does not say it all.
  std::chrono::duration<double> seconds;  ///< How long the run took.
  const Error* error;                     ///< Of Failed; otherwise null.
};

/// How a scheduler is opened. Every member has a default.
struct SchedulerOptions {
  /// A TOML file with a table [schedule], or "connection:NAME" for the table `pyhost_schedule` of one of the
  /// host's connections, SQLite or PostgreSQL. If empty: `entries`.
  std::string from = {};

  /// Entries of the application's own; set_entries() replaces them.
  std::vector<Entry> entries = {};

  /// Where runs and claims are stored: an SQLite file, which is created if it does not exist, or
  /// "connection:NAME". If empty: what the file says, otherwise `schedule.db` beside it; where the entries
  /// are in a database, that database. Entries of the application's own need it.
  std::string history = {};

  /// The worker processes that make the runs. The isolation must be Isolation::Process: no other level can
  /// stop every run when its claim is lost.
  PoolOptions pool = {.isolation = Isolation::Process};

  /// How long the history keeps a run, and how many for each entry. If unset: what the file says, otherwise
  /// 30 days and 1,000.
  std::optional<std::chrono::days> keep = {};
  std::optional<std::size_t> keep_runs = {};

  /// How long a claim holds without being renewed. It is renewed after a third of it. A run whose claim
  /// cannot be renewed is stopped when a sixth of it is left. At least 1 s.
  std::chrono::milliseconds lease = std::chrono::seconds(30);

  /// Called for what happens to the schedule and its runs. Exceptions from it are ignored.
  /// Thread: the one that called tick(), run() or trigger().
  std::function<void(const ScheduleEvent&)> on_event = {};

  /// Called for every error of a run, for entries that cannot be used, and when the database is out of reach.
  /// Exceptions from it are ignored.
  /// Thread: as on_event.
  std::function<void(const Error&)> on_error = {};
};

/// What came of a tick.
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
/// due time is run by one of them. A helper process makes the claims, so that no module can delay them.
///
/// All calls throw, besides what they say: InvalidSchedule for entries, files and databases that cannot be
/// used, and Unreachable while the database cannot be reached.
/// Thread: any, but tick(), run() and trigger() are called by one thread at a time.
class Scheduler {
 public:
  /// Reads nothing yet. The host must outlive it.
  /// Throws: InvalidSchedule for options that cannot be used together.
  explicit Scheduler(Host& host, SchedulerOptions options);
  ~Scheduler();
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  /// Returns the entries with so many of their next due times, in the order of their source. Creates nothing.
  Schedule entries(std::size_t next = 1);

  /// Replaces SchedulerOptions::entries, also while run() is in progress. An entry whose time rule changes
  /// begins anew; other changes keep its due times.
  void set_entries(std::vector<Entry> entries);

  /// Returns the latest runs, the newest first.
  std::vector<ScheduledRun> history(const HistoryOptions& options = {});

  /// Returns what is due now. Runs and stores nothing.
  std::vector<ScheduledRun> due();

  /// Runs what is due, waits for these runs, and returns. `cancel` stops them.
  TickResult tick(std::stop_token cancel = {});

  /// Runs what becomes due, until `stop` is requested; then the runs in progress end, unless `cancel` is
  /// requested, too. If the database goes out of reach later, it waits for it.
  void run(std::stop_token stop, std::stop_token cancel = {});

  /// Runs an entry now, also one that is not enabled, and returns the finished run. `cancel` stops it.
  /// Throws: InvalidSchedule if there is no such entry, or if a run of it is in progress and it does not allow
  /// another one.
  ScheduledRun trigger(std::string_view entry, std::stop_token cancel = {});

  /// Pauses or resumes an entry of a database.
  void set_enabled(std::string_view entry, bool enabled);

 private:
  struct Data;
  std::unique_ptr<Data> data_;
};

}  // namespace pyhost
