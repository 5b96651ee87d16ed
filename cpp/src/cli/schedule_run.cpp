// pyhost schedule run and pyhost schedule tick: run the entries that are due.
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <exception>
#include <iostream>
#include <map>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "cli/arguments.hpp"
#include "cli/commands.hpp"
#include "cli/exit_code.hpp"
#include "cli/files.hpp"
#include "cli/host_options.hpp"
#include "cli/json_documents.hpp"
#include "cli/log_output.hpp"
#include "cli/messages.hpp"
#include "cli/result_stream.hpp"
#include "cli/schedule_source.hpp"
#include "cli/signals.hpp"
#include "cli/status_line.hpp"
#include "cli/terminal.hpp"
#include "cli/units.hpp"
#include "error/number_text.hpp"
#include "error/system_limits.hpp"
#include "error/utf8.hpp"
#include "pyhost/host.hpp"
#include "pyhost/scheduler.hpp"

namespace pyhost::cli {

namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

// Prints a line for each event of the schedule.
class EventPrinter {
 public:
  EventPrinter(StatusLine& line, const ScheduleArguments& arguments) : line_(line), arguments_(arguments) {}

  void listen_to(SchedulerOptions& options) {
    options.on_event = [this](const ScheduleEvent& event) { print(event); };
    options.on_error = [this](const Error& error) { print(error); };
  }

  // Returns the runs in flight, and how long they have been running.
  std::vector<std::pair<std::string, Seconds>> running() const {
    const std::lock_guard lock(mutex_);
    std::vector<std::pair<std::string, Seconds>> all;
    for (const auto& [key, begun] : running_) all.emplace_back(key.first, Clock::now() - begun);
    return all;
  }

 private:
  void print(const Error& error) {
    line_.erase();
    print_error(error, arguments_.verbose);
  }

  void print(const ScheduleEvent& event) {
    note(event);
    if (!arguments_.quiet || event.kind == ScheduleEventKind::Stopped ||
        event.kind == ScheduleEventKind::Lost)
      line_.print("pyhost: " + detail::terminal_safe_line(text(event)) + "\n");
  }

  void note(const ScheduleEvent& event) {
    const std::lock_guard lock(mutex_);
    const auto key = std::pair(std::string(event.entry), event.due);
    if (event.kind == ScheduleEventKind::Started) running_[key] = Clock::now();
    if (event.kind == ScheduleEventKind::Succeeded || event.kind == ScheduleEventKind::Failed ||
        event.kind == ScheduleEventKind::Stopped)
      running_.erase(key);
  }

  static std::string text(const ScheduleEvent& event) {
    const std::string entry(event.entry), message(event.message);
    const std::string took = " after " + detail::fixed_text(event.seconds.count(), 1) + " s";
    const std::string due = "due " + utc_text(event.due);
    switch (event.kind) {
      case ScheduleEventKind::Started:
        return entry + " started, " + due +
               (event.attempt > 1 ? ", attempt " + std::to_string(event.attempt) : "");
      case ScheduleEventKind::Succeeded:
        return entry + " succeeded" + took;
      case ScheduleEventKind::Failed:
        return entry + " failed" + took;
      case ScheduleEventKind::Skipped:
        return entry + " was skipped, " + due + ": " + message;
      case ScheduleEventKind::Missed:
        return entry + ": " + message;
      case ScheduleEventKind::Stopped:
      case ScheduleEventKind::Lost:
        return entry + " was lost, " + due + ": " + message;
      case ScheduleEventKind::Reloaded:
        return "the schedule has changed and was reloaded";
      case ScheduleEventKind::Disconnected:
        return "waiting for the database";
      case ScheduleEventKind::Connected:
        return "the database can be reached again";
    }
    return message;
  }

  StatusLine& line_;
  const ScheduleArguments& arguments_;
  mutable std::mutex mutex_;
  std::map<std::pair<std::string, ScheduledRun::Time>, Clock::time_point> running_;
};

// Shows the runs in flight and the next due times, on a terminal.
class Display {
 public:
  Display(StatusLine& line, const EventPrinter& events, Scheduler& scheduler, std::stop_token drains)
      : line_(line), events_(events), scheduler_(scheduler), drains_(std::move(drains)) {
    if (line.is_terminal())
      thread_ = detail::start_thread<std::jthread>([this](const std::stop_token& stop) { show(stop); });
  }

 private:
  void show(const std::stop_token& stop) {
    constexpr std::chrono::seconds pause(1), until_asked_again(5);
    Clock::time_point asked;
    std::string next;
    std::mutex mutex;
    std::unique_lock lock(mutex);
    std::condition_variable_any stopped;
    while (!stop.stop_requested()) {
      if (drains_.stop_requested()) {
        next = "stopping";
      } else if (Clock::now() - asked > until_asked_again) {
        next = next_text();
        asked = Clock::now();
      }
      line_.show(truncate_end(detail::terminal_safe_line(running_text() + next), line_.width()));
      stopped.wait_for(lock, stop, pause, [] { return false; });
    }
  }

  std::string running_text() const {
    std::string text;
    for (const auto& [entry, passed] : events_.running())
      text += (text.empty() ? "running: " : ", ") + entry + " " + clock_text(passed.count());
    return text.empty() ? text : text + "; ";
  }

  std::string next_text() const {
    try {
      std::multimap<ScheduledRun::Time, std::string> next;
      for (const EntryStatus& each : scheduler_.entries().entries) {
        if (!each.next.empty() && each.entry.enabled)
          next.emplace(each.next[0], each.entry.name + " at " + each.next_text[0]);
      }
      std::string text;
      for (const auto& [time, entry] : next) text += (text.empty() ? "next: " : ", ") + entry;
      return text.empty() ? "nothing is due" : text;
    } catch (const std::exception&) {
      return "waiting for the database";
    }
  }

  StatusLine& line_;
  const EventPrinter& events_;
  Scheduler& scheduler_;
  std::stop_token drains_;  // requested when no more runs will begin
  std::jthread thread_;
};

SchedulerOptions options_of(const ScheduleRunArguments& arguments) {
  SchedulerOptions options = scheduler_options(arguments.schedule);
  options.pool.workers = arguments.workers;
  return options;
}

Options host_options_of(const ScheduleRunArguments& arguments, StatusLine& line) {
  Options options = host_options(arguments.schedule.host);
  log_to_stderr(options, arguments.log, &line);
  return options;
}

void print_result(const TickResult& result, const ScheduleTickArguments& arguments, ResultStream& output) {
  const ScheduleArguments& common = arguments.run.schedule;
  if (common.json) {
    output.write_line(runs_document(result.runs));
  } else if (arguments.dry_run) {
    for (const ScheduledRun& run : result.runs)
      output.write_line(detail::terminal_safe_line(run.entry) + ", due " + utc_text(run.due));
    if (result.runs.empty()) std::cerr << "pyhost: nothing is due\n";
  } else if (!common.quiet) {
    std::cerr << "pyhost: " << counted(result.runs.size(), "run") << ", " << result.failed << " failed\n";
  }
}

}  // namespace

int schedule_run(const ScheduleRunArguments& arguments) {
  require_stdout();
  SchedulerOptions options = options_of(arguments);
  StatusLine line;
  EventPrinter events(line, arguments.schedule);
  events.listen_to(options);
  prepare_end_by_signal();
  std::signal(SIGPIPE, SIG_IGN);
  std::stop_source stop, cancel;
  const Signals signals(
      {.signals = {SIGINT, SIGTERM}, .max_count = 2, .on_signal = [&](int number) {
         if (number > 1) {
           cancel.request_stop();
           return;
         }
         line.print("pyhost: stopping after the runs in flight; press Ctrl-C again to cancel them\n");
         stop.request_stop();
       }});
  {
    Options host_opened = host_options_of(arguments, line);
    line.listen_to(host_opened);
    Host host(std::move(host_opened));
    print_environment(host.environment(), arguments.schedule.verbose, arguments.schedule.quiet);
    Scheduler scheduler(host, std::move(options));
    const Display display(line, events, scheduler, stop.get_token());
    scheduler.run(stop.get_token(), cancel.get_token());
    print_dropped_logs(host);
  }
  if (signals.count() > 1) end_by_signal(signals.last());
  return ok;
}

int schedule_tick(const ScheduleTickArguments& arguments) {
  const ScheduleArguments& common = arguments.run.schedule;
  SchedulerOptions options = options_of(arguments.run);
  ResultStream output({}, {.takes_stdout = common.json});
  StatusLine line;
  EventPrinter events(line, common);
  events.listen_to(options);
  prepare_end_by_signal();
  std::signal(SIGPIPE, SIG_IGN);
  std::stop_source cancel;
  const Signals signals(
      {.signals = {SIGINT, SIGTERM}, .on_signal = [&cancel](int) { cancel.request_stop(); }});
  const int code = errors_as_json(common.json, output, [&] {
    TickResult result;
    {
      Host host(host_options_of(arguments.run, line));
      print_environment(host.environment(), common.verbose, common.quiet);
      Scheduler scheduler(host, std::move(options));
      if (arguments.dry_run) {
        result.runs = scheduler.due();
      } else {
        result = scheduler.tick(cancel.get_token());
      }
      print_dropped_logs(host);
    }
    print_result(result, arguments, output);
    return result.failed > 0 ? module_raised : ok;
  });
  if (signals.count() > 0) end_by_signal(signals.last());
  return code;
}

}  // namespace pyhost::cli
