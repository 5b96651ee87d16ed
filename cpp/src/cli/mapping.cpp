// Runs a module for many states.
#include "cli/mapping.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <iostream>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <utility>

#include "cli/arguments.hpp"
#include "cli/errors.hpp"
#include "cli/exit_code.hpp"
#include "cli/log_output.hpp"
#include "cli/messages.hpp"
#include "cli/parameters.hpp"
#include "cli/progress.hpp"
#include "cli/result_stream.hpp"
#include "cli/results.hpp"
#include "cli/shard.hpp"
#include "cli/signals.hpp"
#include "cli/states.hpp"
#include "cli/units.hpp"
#include "error/number_text.hpp"
#include "error/system_limits.hpp"
#include "pyhost/pool.hpp"

namespace pyhost::cli {

namespace {

using namespace std::chrono_literals;

bool is_load_error(const Error& error) { return error.phase() <= Phase::Import; }

// Removes the line number within the state from the message. It could be mistaken for the line number in the
// file of states, which is printed as well.
Error without_line(const Error& error) {
  constexpr std::string_view line = "line 1, ";
  std::string message = error.message();
  const std::size_t at = message.find(line);
  if (error.kind() != ErrorKind::InvalidState || at == std::string::npos) return error;
  message.erase(at, line.size());
  return Error({.kind = error.kind(),
                .phase = error.phase(),
                .module = error.module(),
                .message = std::move(message),
                .pointer = error.pointer(),
                .hint = error.hint()});
}

class Mapping {
 public:
  Mapping(const MapContext& context, const MapOptions& options)
      : context_(context),
        arguments_(context.arguments),
        members_(json_members(arguments_.parameters)),
        runs_(context.pool.runs(arguments_.name, options)),
        shard_(parse_shard(arguments_.shard)),
        earlier_(arguments_.resume ? EarlierResults(context.output.path(), arguments_.output)
                                   : EarlierResults()),
        code_(context.host.code_hash()) {}

  int run() {
    context_.progress.begin();
    context_.states.decompress_by(context_.host.environment().executable);
    std::thread reader = detail::start_thread([this] { read(); });
    write();
    reader.join();
    context_.progress.erase();
    return finish();
  }

 private:
  enum class Stopping { No, Gently, AtOnce };

  // --- on the reader thread

  void read() noexcept {
    try {
      while (std::optional<StateText> state = context_.states.next()) {
        state->text = add_members(std::move(state->text), members_);
        submit(*state);
        count_ = state->index + 1;
      }
    } catch (...) {
      read_failure_ = std::current_exception();
    }
    runs_.end();
  }

  void submit(const StateText& state) {
    if (!shard_.contains(state.index)) return;
    const StateId id{state.index, state.line, state_hash(arguments_.name, state.text)};
    const std::string* const code = earlier_.code_of(id);
    if (code != nullptr && (*code == code_ || !arguments_.redo_changed)) {
      ++skipped_;
      if (*code != code_) ++skipped_of_other_code_;
      return;
    }
    {
      const std::lock_guard lock(mutex_);
      in_flight_.emplace(submitted_++, id);
    }
    runs_.put(state.text);
  }

  // --- on the main thread

  void write() {
    bool over = false;
    while (!over) {
      std::optional<Outcome> outcome = runs_.next_within(0ms);
      if (!outcome) {
        flush();
        outcome = runs_.next_within(100ms);
        over = !outcome && runs_.is_over();
      }
      if (outcome) handle(*outcome);
      check_signals();
      cancel_if_stopping();
      if (stopping_ != Stopping::AtOnce) context_.progress.show({done_, failed_, fraction_done()});
    }
    flush();
  }

  void handle(const Outcome& outcome) {
    const StateId state = take_in_flight(outcome.index);
    if (outcome.error && outcome.error->kind() == ErrorKind::Cancelled) return;
    if (outcome.error && ends_mapping(*outcome.error)) {
      if (!load_error_) load_error_ = outcome.error;
      return stop(Stopping::AtOnce);
    }
    if (outcome.ok() || !is_load_error(*outcome.error)) {
      was_loaded_ = true;
      load_errors_in_a_row_ = 0;
    }
    ++done_;
    if (!outcome.ok()) handle_failure(state, *outcome.error);
    append_result_line(lines_, state, code_, outcome);
    constexpr std::size_t many = 1 << 16;
    if (lines_.size() >= many) flush();
  }

  // If the module cannot be loaded, every other state would fail with the same error. Once it was loaded,
  // the next attempt to load it, in another worker, may succeed.
  bool ends_mapping(const Error& error) {
    constexpr int max_in_a_row = 5;
    if (!is_load_error(error)) return false;
    if (error.kind() == ErrorKind::Unreachable || error.kind() == ErrorKind::InvalidEngine) return true;
    return !was_loaded_ || ++load_errors_in_a_row_ >= max_in_a_row;
  }

  void handle_failure(const StateId& state, const Error& error) {
    ++failed_;
    if (arguments_.keep_going || failed_ > 1) return;
    context_.progress.erase();
    std::cerr << "state " << state.index << " (line " << state.line << " of the states):\n";
    print_error(without_line(error), arguments_.verbose);
    stop(Stopping::Gently);
  }

  StateId take_in_flight(std::size_t submission) {
    const std::lock_guard lock(mutex_);
    return in_flight_.extract(submission).mapped();
  }

  void flush() {
    if (lines_.empty()) return;
    const std::string lines = std::exchange(lines_, {});
    if (write_failure_) return;
    try {
      context_.output.write(lines);
    } catch (const OutputError&) {
      write_failure_ = std::current_exception();
      stop(Stopping::AtOnce);
    }
  }

  void check_signals() {
    if (const int count = context_.signals.count()) stop(count == 1 ? Stopping::Gently : Stopping::AtOnce);
  }

  void stop(Stopping how) {
    if (how <= stopping_) return;
    stopping_ = how;
    context_.states.stop();
  }

  // Must be called repeatedly, because the reader may submit one more state after stop().
  void cancel_if_stopping() {
    if (stopping_ == Stopping::Gently) context_.pool.cancel_waiting();
    if (stopping_ == Stopping::AtOnce) context_.pool.cancel();
  }

  // Returns the fraction of the states that are done. States that were read but are not done do not count.
  std::optional<double> fraction_done() {
    const std::optional<double> read = context_.states.fraction_read();
    const std::lock_guard lock(mutex_);
    if (!read || submitted_ == 0) return std::nullopt;
    return *read * static_cast<double>(done_) / static_cast<double>(submitted_);
  }

  int finish() {
    // The pool is closed first, so that the last log records of its workers are printed before the summary.
    const std::chrono::duration<double> patience(arguments_.host.shutdown_timeout);
    context_.close_errors.begin();
    context_.pool.close(std::chrono::round<std::chrono::milliseconds>(patience));
    print_dropped_logs(context_.host);
    if (write_failure_) {
      context_.resume_hint.print();
      std::rethrow_exception(write_failure_);
    }
    const int code = print_failure();
    if (done_ == 0 && (load_error_ || read_failure_)) return code;
    if (!arguments_.quiet) print_warnings();
    if (stopping_ != Stopping::No || read_failure_) {
      context_.resume_hint.print();
    } else {
      context_.output.write("");  // creates the file even if there are no results
    }
    print_summary();
    if (context_.signals.count() > 0) end_by_signal(context_.signals.last());
    return code;
  }

  // Prints the error that ended the mapping, unless it was that of a state. Returns the exit code.
  int print_failure() const {
    if (load_error_) {
      print_error(*load_error_, arguments_.verbose);
      return exit_code_of_load(*load_error_);
    }
    if (read_failure_) return exit_code_of("map", [this]() -> int { std::rethrow_exception(read_failure_); });
    return failed_ > 0 ? module_raised : ok;
  }

  void print_warnings() const {
    const bool all_read = stopping_ == Stopping::No && !read_failure_;
    const std::size_t gone = all_read ? earlier_.count_from(count_) : 0;
    if (gone > 0) {
      std::cerr << "warning: " << counted(gone, "result") << " in " << arguments_.output
                << " are of states that no longer exist\n";
    }
    if (skipped_of_other_code_ > 0) {
      std::cerr << "warning: " << counted(skipped_of_other_code_, "result") << " in " << arguments_.output
                << " came from another version of the modules; --redo-changed runs their states again\n";
    }
    if (context_.host.code_hash() != code_) {
      std::cerr
          << "warning: the modules were changed meanwhile, so some results may come from the new version\n";
    }
  }

  void print_summary() const {
    if (arguments_.quiet && failed_ == 0) return;
    std::string summary = failed_ > 0 ? std::to_string(failed_) + " of " + counted(done_, "state") + " failed"
                                      : counted(done_, "state") + " done";
    if (skipped_ > 0) summary += ", " + std::to_string(skipped_) + " already done";
    std::fprintf(stderr, "%s%s in %s s\n", failed_ > 0 ? "error: " : "pyhost: ", summary.c_str(),
                 detail::fixed_text(context_.progress.seconds(), 1).c_str());
  }

  const MapContext& context_;
  const MapArguments& arguments_;
  const std::string members_;  // added to each state
  Runs runs_;
  Shard shard_;
  EarlierResults earlier_;
  const std::string code_;  // the version of the modules

  std::mutex mutex_;
  std::unordered_map<std::size_t, StateId> in_flight_;  // by submission number
  std::size_t submitted_ = 0;
  std::atomic<std::size_t> skipped_ = 0;
  std::size_t skipped_of_other_code_ = 0;
  std::size_t count_ = 0;  // how many states were read
  std::exception_ptr read_failure_;

  std::string lines_;  // results that are not written yet
  std::size_t done_ = 0;
  std::size_t failed_ = 0;
  Stopping stopping_ = Stopping::No;
  std::optional<Error> load_error_;  // the one that ended the mapping
  bool was_loaded_ = false;          // whether any worker has loaded the module
  int load_errors_in_a_row_ = 0;
  std::exception_ptr write_failure_;
};

}  // namespace

void ResumeHint::print() {
  if (printed_.exchange(true)) return;
  progress_.erase();
  progress_.print_line(output_.is_regular_file()
                           ? "hint: to continue " + name_ + ", use the same command with --resume"
                           : "hint: with -o FILE, the command could be continued later with --resume");
}

int run_mapping(const MapContext& context, const MapOptions& options) {
  return Mapping(context, options).run();
}

}  // namespace pyhost::cli
