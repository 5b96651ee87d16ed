// Formats entries, runs and problems of a schedule as text.
#include "cli/schedule_text.hpp"

#include <algorithm>
#include <chrono>
#include <string_view>

#include "cli/terminal.hpp"
#include "cli/units.hpp"
#include "error/number_text.hpp"
#include "error/utf8.hpp"
#include "pyhost/scheduler.hpp"

namespace pyhost::cli {

namespace {

std::string took_text(std::chrono::duration<double> time) {
  constexpr double minute = 60;
  if (time.count() >= minute) return clock_text(time.count());
  return detail::fixed_text(time.count(), time.count() < 1 ? 3 : 1) + " s";
}

// "succeeded in 3.2 s", in red if it failed.
std::string outcome_text(const ScheduledRun& run, bool colour) {
  std::string text = run.status;
  if (run.started && run.finished)
    text += (run.status == "succeeded" ? " in " : " after ") + took_text(*run.finished - *run.started);
  const bool is_bad = run.status == "failed" || run.status == "lost";
  return colour && is_bad ? "\x1b[31m" + text + "\x1b[0m" : text;
}

std::string last_text(const EntryStatus& entry, bool colour) {
  const std::string last = entry.last ? outcome_text(*entry.last, colour) : "";
  if (entry.running == 0) return last.empty() ? "never ran" : last;
  const std::string running = entry.running == 1 ? "running" : std::to_string(entry.running) + " running";
  return running + (last.empty() ? "" : "; " + last);
}

std::string next_text(const EntryStatus& entry) {
  if (!entry.entry.enabled) return "paused";
  std::string text;
  for (const std::string& each : entry.next_text) text += (text.empty() ? "" : ", ") + each;
  return text.empty() ? "-" : text;
}

std::string entry_lines(const EntryStatus& entry, bool colour) {
  const auto safe = detail::terminal_safe_line;
  std::string text = safe(entry.entry.name) + ": " + safe(entry.entry.module) + ", " + safe(entry.when) +
                     ", " + safe(entry.entry.zone) + "\n";
  if (entry.next_text.empty() || !entry.entry.enabled) text += "  next " + next_text(entry) + "\n";
  for (std::size_t i = 0; entry.entry.enabled && i < entry.next_text.size(); ++i)
    text += (i == 0 ? "  next " : "       ") + entry.next_text[i] + "\n";
  return text + "  last " + last_text(entry, colour) + "\n";
}

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

}  // namespace

std::string entries_text(const Schedule& schedule, std::optional<std::size_t> terminal, bool colour) {
  if (schedule.entries.empty()) return "";
  std::vector<std::vector<std::string>> rows{{"NAME", "MODULE", "WHEN", "ZONE", "NEXT", "LAST"}};
  std::size_t widest_last = 0;
  bool one_each = true;
  std::string lines;
  for (const EntryStatus& each : schedule.entries) {
    const auto safe = detail::terminal_safe_line;
    rows.push_back({safe(each.entry.name), safe(each.entry.module), safe(each.when), safe(each.entry.zone),
                    next_text(each), ""});
    widest_last = std::max(widest_last, last_text(each, false).size());
    one_each = one_each && each.next_text.size() <= 1;
    lines += entry_lines(each, colour);
  }
  const std::string header = aligned(rows)[0];
  const std::size_t width = header.size() - rows[0].back().size() + widest_last;
  if (!one_each || (terminal && width > *terminal)) return lines;
  for (std::size_t i = 0; i < schedule.entries.size(); ++i)
    rows[i + 1].back() = last_text(schedule.entries[i], colour);
  return joined(aligned(rows));
}

std::string history_text(const std::vector<ScheduledRun>& runs, bool colour, bool verbose) {
  std::vector<std::vector<std::string>> rows;
  for (const ScheduledRun& run : runs) {
    std::string what = outcome_text(run, colour);
    if (run.attempt > 1) what += ", attempt " + std::to_string(run.attempt);
    if (run.triggered) what += ", triggered";
    if (!run.error && !run.message.empty()) what += ": " + detail::terminal_safe_line(run.message);
    rows.push_back({utc_text(run.due), detail::terminal_safe_line(run.entry), std::move(what)});
  }
  const std::vector<std::string> lines = aligned(rows);
  std::string text;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    text += lines[i] + "\n";
    if (runs[i].error) text += "error: " + runs[i].error->rendered({.colour = colour, .verbose = verbose});
  }
  return text;
}

std::string problems_text(const std::vector<ScheduleProblem>& problems) {
  std::string text;
  for (const ScheduleProblem& each : problems) {
    if (!each.place.empty()) text += detail::terminal_safe_line(display_path(each.place)) + ": ";
    if (!each.entry.empty()) text += "entry '" + detail::terminal_safe_line(each.entry) + "': ";
    text += detail::terminal_safe_line(each.message) + "\n";
    if (!each.hint.empty()) text += "hint: " + detail::terminal_safe_line(each.hint) + "\n";
  }
  return text;
}

}  // namespace pyhost::cli
