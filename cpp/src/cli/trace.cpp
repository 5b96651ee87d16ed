// Writes spans as trace events.
#include "cli/trace.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "cli/errors.hpp"
#include "cli/files.hpp"
#include "cli/json_text.hpp"
#include "error/number_text.hpp"
#include "pyhost/options.hpp"

namespace pyhost::cli {

namespace {

constexpr std::string_view end_of_file = "\n]\n";
constexpr std::size_t many = std::size_t{1} << 18;

// The trace has a single process, so that a worker keeps its track when its process is replaced.
constexpr const char* process = "\"pid\":1,\"tid\":";

std::string with_nanoseconds(double microseconds) { return detail::fixed_text(microseconds, 3); }

const char* category_of(SpanKind kind) {
  const bool of_pool = kind == SpanKind::Start || kind == SpanKind::Queue || kind == SpanKind::Send;
  return of_pool ? "pool" : "module";
}

std::string name_of_worker(std::uint64_t worker) {
  return worker == 0 ? "main" : "worker " + std::to_string(worker);
}

// Returns the members of a span for which the format has no key of its own.
std::string arguments_of(const Span& span) {
  std::string members;
  const auto add = [&](const char* name, const std::string& value) {
    members += (members.empty() ? "\"" : ",\"") + std::string(name) + "\":" + value;
  };
  if (!span.module.empty()) add("module", json_string(span.module));
  if (span.submission != 0) add("submission", std::to_string(span.submission));
  if (span.run != 0) add("run", std::to_string(span.run));
  if (span.runs != 0) add("runs", std::to_string(span.runs));
  if (span.kind == SpanKind::Queue) add("worker", std::to_string(span.worker));
  if (span.failed) add("failed", "true");
  return ",\"args\":{" + members + "}}";
}

// Follows links even if their target does not exist yet.
std::filesystem::path file_behind(const std::string& name) {
  constexpr int most_links = 40;
  std::error_code failed;
  std::filesystem::path path = std::filesystem::absolute(name, failed);
  for (int i = 0; i < most_links && std::filesystem::is_symlink(path, failed); ++i)
    path = path.parent_path() / std::filesystem::read_symlink(path, failed);
  return std::filesystem::weakly_canonical(path, failed);
}

}  // namespace

Trace::Trace(std::string file, const std::string& title, Writing how, std::size_t max_runs)
    : file_(std::move(file)), how_(how), max_runs_(max_runs) {
  if (file_.empty()) return;
  check_writable(file_, "--trace");
  descriptor_ = open(file_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor_ < 0) throw UsageError("cannot write to '" + file_ + "': " + std::strerror(errno));
  seekable_ = lseek(descriptor_, 0, SEEK_SET) == 0;
  text_ = "[";
  add_line("{\"name\":\"process_name\",\"ph\":\"M\"," +
           (process + ("0,\"args\":{\"name\":" + json_string(title))) + "}}");
  write();
}

Trace::~Trace() {
  if (descriptor_ < 0) return;
  write();
  if (!seekable_) write_all(descriptor_, end_of_file);
  close(descriptor_);
}

void Trace::listen_to(Options& options) {
  if (descriptor_ < 0) return;
  options.callbacks.on_span = [this](const Span& span) { add(span); };
}

// Tracks are shown in this order: the main thread, then two for each worker, its runs and the runs that are
// sent to it. Spans of kind Queue have no track, because many of them overlap.
void Trace::add(const Span& span) {
  if (descriptor_ < 0) return;
  const std::lock_guard lock(mutex_);
  if (failed_ != 0 || is_left_out(span)) return;
  const std::string name = "{\"name\":\"" + std::string(to_string(span.kind)) + "\",\"cat\":\"" +
                           category_of(span.kind) + "\",\"ph\":";
  const std::string begin = with_nanoseconds(microseconds(span.begin));
  if (span.kind == SpanKind::Queue) {
    const std::string same = "\"id\":" + std::to_string(span.submission) + "," + process + "1,\"ts\":";
    add_line(name + "\"b\"," + same + begin + arguments_of(span));
    add_line(name + "\"e\"," + same + with_nanoseconds(microseconds(span.end)) + "}");
  } else {
    const bool send = span.kind == SpanKind::Send;
    const std::uint64_t track = 1 + 2 * span.worker + (send ? 1 : 0);
    name_track(track, (send ? "to " : "") + name_of_worker(span.worker));
    const std::chrono::duration<double, std::micro> took = span.end - span.begin;
    add_line(name + "\"X\"," + process + std::to_string(track) + ",\"ts\":" + begin +
             ",\"dur\":" + with_nanoseconds(took.count()) + arguments_of(span));
  }
  if (how_ == Writing::Immediate || text_.size() >= many) write();
}

// Leaves out the runs after the first `max_runs_`. Spans that belong to no run, such as the start of a
// worker, are left out as soon as a run was left out.
bool Trace::is_left_out(const Span& span) {
  if (max_runs_ != 0 && span.submission > max_runs_) full_ = true;
  return full_ && (span.submission == 0 || span.submission > max_runs_);
}

void Trace::add_start() {
  add({.kind = SpanKind::Start, .begin = begun_, .end = std::chrono::steady_clock::now()});
}

void Trace::name_track(std::uint64_t track, const std::string& name) {
  if (!named_.insert(track).second) return;
  const std::string number = std::to_string(track);
  add_line("{\"name\":\"thread_name\",\"ph\":\"M\"," + (process + number) + ",\"args\":{\"name\":\"" + name +
           "\"}}");
  add_line("{\"name\":\"thread_sort_index\",\"ph\":\"M\"," + (process + number) +
           ",\"args\":{\"sort_index\":" + number + "}}");
}

void Trace::add_line(const std::string& line) {
  text_ += (std::exchange(first_, false) ? "\n" : ",\n") + line;
}

// Writes the end of the file after each piece, so that the file is always complete. The next piece overwrites
// it.
void Trace::write() noexcept {
  if (failed_ != 0 || text_.empty()) return;
  const std::size_t size = text_.size();
  if (seekable_) text_ += end_of_file;
  if ((seekable_ && lseek(descriptor_, written_, SEEK_SET) < 0) || !write_all(descriptor_, text_))
    failed_ = errno;
  written_ += static_cast<std::int64_t>(size);
  text_.clear();
}

double Trace::microseconds(std::chrono::steady_clock::time_point time) const {
  return std::chrono::duration<double, std::micro>(time - begun_).count();
}

void Trace::end() {
  if (descriptor_ < 0) return;
  const std::lock_guard lock(mutex_);
  write();
  if (failed_ != 0)
    throw OutputError("the trace could not be written to '" + file_ + "': " + std::strerror(failed_));
}

void refuse_trace_over_output(const std::string& output, const std::string& trace) {
  namespace fs = std::filesystem;
  if (output.empty() || trace.empty()) return;
  std::error_code failed;
  const bool there = fs::exists(output, failed) && fs::exists(trace, failed);
  const bool same = there ? fs::is_regular_file(output, failed) && fs::equivalent(output, trace, failed)
                          : file_behind(output) == file_behind(trace);
  if (same)
    throw UsageError("-o and --trace name the same file, '" + output + "': the results would be lost");
}

}  // namespace pyhost::cli
