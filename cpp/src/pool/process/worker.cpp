// The worker process: runs the batches that its pool sends.
#include "pyhost/main.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <semaphore>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "error/system_limits.hpp"
#include "host/host_internals.hpp"
#include "pool/process/messages.hpp"
#include "pool/process/outcome_writer.hpp"
#include "pool/process/shared_memory.hpp"
#include "pool/process/wire_frames.hpp"
#include "pool/process/worker_channel.hpp"
#include "pool/process/worker_memory.hpp"
#include "pool/process/worker_process.hpp"
#include "pool/process/worker_start.hpp"
#include "pyhost/host.hpp"
#include "python/cpp_exception.hpp"
#include "python/gil.hpp"
#include "run/cancellation.hpp"
#include "run/spans.hpp"
#include "run/wakeup_signal.hpp"

namespace pyhost {

namespace detail {

namespace {

std::int64_t now_in_nanoseconds() { return nanoseconds_of(std::chrono::steady_clock::now()); }

}  // namespace

/// The worker, from its start to its end. A friend of Host.
class WorkerSide {
 public:
  explicit WorkerSide(const StartArguments& arguments)
      : channel_(arguments.descriptor(Inherited::Channel)),
        page_(*map_shared_page(arguments.descriptor(Inherited::Memory))),
        arguments_(arguments) {}

  int work() {
    try {
      start_cancelling();
      start(json_of(channel_.next_order()));
    } catch (const Error& error) {
      channel_.send_json(FrameKind::NotStarted, 0, error.to_json());
      return EXIT_FAILURE;
    } catch (const std::exception& failed) {
      std::fprintf(stderr, "pyhost-worker did not start: %s\n", failed.what());
      return EXIT_FAILURE;
    }
    channel_.send(FrameKind::Ready, static_cast<std::uint64_t>(now_in_nanoseconds()), std::string_view());
    const ThrowErrorsOnly errors_only;
    while (true) {
      const WireFrame order = channel_.next_order();
      if (order.kind == FrameKind::End) break;
      if (order.kind == FrameKind::Runs) run_batch(order);
    }
    host_.reset();
    return EXIT_SUCCESS;
  }

 private:
  void start(const Json& message) {
    Options options = options_from(message);
    forward_callbacks(options, message);
    logs_ = static_cast<bool>(options.logging.on_log);
    limits_ = limits_from(message);
    limit_library_threads(limits_.library_threads);
    host_.emplace(std::move(options));
    const HostInternals internals = host_->internals();
    internals.host_state.on_import = [this](bool begins) { note_import(begins); };
    internals.services.answer_remotely([this](const Json& question) { return channel_.ask(question); });
    {
      const GilAcquire gil;
      enable_wakeup_signal();  // not enabled by runs here: the pool enforces their limits
      const py::object python =
          require(PyImport_ImportModule("pyhost._worker"), "importing pyhost's own files");
      require(PyObject_CallMethod(python.ptr(), "begin", "ii", arguments_.descriptor(Inherited::Trace),
                                  stack_dump_signal()),
              "installing the crash handler");
    }
    observe_forks();
    survive_signals_to_a_job();  // after Python's start, which records the existing handlers
    if (limits_.memory_limit > 0) limit_memory(limits_.memory_limit);
  }

  // Otherwise OpenMP and OpenBLAS use all cores in every worker. Values that the user has set are kept.
  static void limit_library_threads(std::size_t count) {
    for (const char* name : {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"})
      setenv(name, std::to_string(count).c_str(), 0);
  }

  // Sends the pool everything that its host has a callback for.
  void forward_callbacks(Options& options, const Json& wanted) {
    if (wanted.at("on_output").get<bool>()) {
      options.callbacks.on_output = [this](const Output& output) {
        const bool is_stdout = output.stream == Output::Stream::Stdout;
        if (is_forked()) {
          static_cast<void>(
              !write(is_stdout ? STDOUT_FILENO : STDERR_FILENO, output.text.data(), output.text.size()));
          return;
        }
        channel_.send(FrameKind::Output, is_stdout ? 1 : 2,
                      std::string(output.module).append("\n").append(output.text));
      };
    }
    if (wanted.at("on_error").get<bool>())
      options.callbacks.on_error = [this](const Error& error) {
        channel_.send_json(FrameKind::HostError, 0, error.to_json());
      };
    if (wanted.at("on_event").get<bool>())
      options.callbacks.on_event = [this](const Event& event) {
        channel_.send_json(FrameKind::Event, 0, message_of(event));
      };
    if (wanted.at("on_log").get<bool>())
      options.logging.on_log = [this](const LogRecord& record) {
        channel_.send_json(FrameKind::Log, 0, record.to_json());
      };
    if (wanted.at("on_span").get<bool>()) {
      // Spans go into the buffer, and are sent with the outcome of their run.
      options.callbacks.on_span = [](const Span&) {};
      span_place.buffer = &spans_;
    }
  }

  void run_batch(const WireFrame& frame) {
    const std::uint64_t batch = frame.number >> 32;
    const auto count = static_cast<std::uint32_t>(frame.number);
    BatchSlot& slot = slot_of(batch);
    postponed_total = &slot.postponed;
    std::string_view rest = frame.content;
    OutcomeWriter outcomes(page_, channel_, batch);
    std::int64_t now = now_in_nanoseconds();
    last_module_.clear();
    for (std::uint32_t i = 0; i < count && !retiring_; ++i) {
      RunItem item;
      std::memcpy(&item, rest.data(), sizeof item);
      rest.remove_prefix(sizeof item);
      const std::string_view module = take(rest, item.module_size);
      const std::string_view entry = take(rest, item.entry_size);
      const std::string_view state = take(rest, item.state_size);
      if (frame.missing > 0) {
        refuse_large(i, std::string(module), item.state_size, slot, outcomes);
        break;
      }
      if (module != last_module_ && !can_import()) break;
      last_module_ = module;
      current_.store(place_in_batch(batch, i) + 1, std::memory_order_release);
      if (!slot.claim(i, now)) break;
      if (span_place.buffer != nullptr) begin_spans(now);
      const Outcome outcome = run(module, state, item.for_json, options_of(item, entry));
      if (is_forked()) _exit(EXIT_SUCCESS);  // a forked child must not report an outcome
      const std::int64_t ended = now_in_nanoseconds();
      outcomes.write(i, outcome, ended - now, spans_);
      slot.finished.store(i + 1, std::memory_order_release);
      now = ended;
      if (limits_.max_resident > 0 && resident_memory() > limits_.max_resident) retiring_ = true;
    }
    current_.store(0, std::memory_order_relaxed);
    if (logs_) flush_logs();
    channel_.send(FrameKind::Done, batch, retiring_ ? retiring_content : std::string_view());
  }

  void flush_logs() {
    host_->logs().flush();
    const std::uint64_t before = std::exchange(dropped_logs_, host_->logs().dropped());
    if (dropped_logs_ > before)
      channel_.send(FrameKind::LogsDropped, dropped_logs_ - before, std::string_view());
  }

  // Called on the thread of the runs.
  void note_import(bool begins) {
    const std::uint64_t current = current_.load(std::memory_order_relaxed);
    if (current == 0) return;
    slot_of((current - 1) >> 32)
        .imported_at.store(begins ? BatchSlot::importing : now_in_nanoseconds(), std::memory_order_relaxed);
  }

  BatchSlot& slot_of(std::uint64_t batch) { return page_.slots[batch % 2]; }

  void begin_spans(std::int64_t now) {
    const auto begun = time_of<std::chrono::steady_clock>(now);
    spans_.assign(1, {.kind = SpanKind::Queue, .begin = begun, .end = begun});
  }

  // A large state is sent alone or last, so the frame is complete except for the state itself.
  void refuse_large(std::uint32_t index, const std::string& module, std::uint64_t size, BatchSlot& slot,
                    OutcomeWriter& outcomes) {
    if (!slot.claim(index, now_in_nanoseconds())) return;
    const Outcome outcome = outcome_of(Error(
        {.kind = ErrorKind::InvalidState,
         .phase = Phase::Create,
         .module = module,
         .message = "the state of module '" + module + "' has " + std::to_string(size) +
                    " bytes, but its worker process has too little memory left",
         .hint = "give the worker more memory, or write the data to a file and pass its name in the state"}));
    outcomes.write(index, outcome, 0, spans_);
    slot.finished.store(index + 1, std::memory_order_release);
  }

  static std::string_view take(std::string_view& from, std::uint64_t size) {
    const std::string_view taken = from.substr(0, size);
    from.remove_prefix(taken.size());
    return taken;
  }

  // The options have no limits, because the pool enforces these.
  static RunOptions options_of(const RunItem& item, std::string_view entry) {
    RunOptions options;
    if (item.is_scheduled) {
      options.scheduled = std::make_shared<const Scheduled>(
          Scheduled{std::string(entry), time_of<std::chrono::system_clock>(item.due), item.attempt});
    }
    return options;
  }

  Outcome run(std::string_view module, std::string_view state, bool for_json, const RunOptions& options) {
    try {
      return {.content = for_json ? host_->run_as(AsJsonText(), module, state, options)
                                  : host_->run<std::string>(module, state, options)};
    } catch (const Error& error) {
      return outcome_of(error);
    } catch (const std::exception& error) {
      return outcome_of(Error({.kind = ErrorKind::InvalidResult,
                               .phase = Phase::Result,
                               .module = std::string(module),
                               .message = "the result of module '" + std::string(module) +
                                          "' could not be sent: " + error.what()}));
    }
  }

  // Whether another module can be imported. A module may have left the worker in a state in which none can.
  // Then the worker retires.
  bool can_import() {
    const int free = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (free >= 0) close(free);
    retiring_ = free < 0 || refuses_imports();
    return !retiring_;
  }

  static bool refuses_imports() {
    const GilAcquire gil;
    const bool refused = PySys_Audit("import", "sOOOO", "modules", Py_None, Py_None, Py_None, Py_None) != 0 ||
                         PySys_Audit("open", "sss", "", "r", "") != 0 ||
                         PySys_Audit("compile", "OO", Py_None, Py_None) != 0;
    PyErr_Clear();
    return refused;
  }

  // Starts the threads that cancel runs. The first one never needs the GIL, so modules cannot block it. It
  // also detects the end of the pool.
  void start_cancelling() {
    start_thread([this, wakeup = arguments_.descriptor(Inherited::Wakeup)] {
      sigset_t all;
      sigfillset(&all);
      sigdelset(&all, pool_ended_signal());
      pthread_sigmask(SIG_SETMASK, &all, nullptr);
      while (true) {
        char byte = 0;
        const ssize_t got = read(wakeup, &byte, 1);
        if (got == 0) end_with_pool();
        if (got < 0 && errno != EINTR) return;  // a module has closed it
        if (got == 1) cancels_.release();
      }
    }).detach();
    // The second thread waits for the GIL. Both start before a memory limit that might leave no memory for a
    // thread.
    start_thread([this] {
      while (true) {
        cancels_.acquire();
        cancel();
      }
    }).detach();
  }

  // No run begins or ends while this thread holds the GIL.
  void cancel() {
    const std::uint64_t wanted = page_.cancelled;
    const auto is_current = [&] { return wanted != 0 && wanted == current_.load(std::memory_order_acquire); };
    if (!is_current()) return;
    try {
      const GilAcquire gil;
      if (is_current()) host_->cancel_all();
    } catch (const Error&) {
      // The worker is ending.
    }
  }

  WorkerChannel channel_;
  SharedPage& page_;
  StartArguments arguments_;
  std::optional<Host> host_;
  WorkerLimits limits_;
  bool logs_ = false;
  std::uint64_t dropped_logs_ = 0;
  bool retiring_ = false;
  std::string last_module_;
  std::vector<Span> spans_;                 // of the current run, if the host has an on_span
  std::atomic<std::uint64_t> current_ = 0;  // place_in_batch() of the current run plus one, or 0
  std::counting_semaphore<> cancels_{0};
};

}  // namespace detail

std::optional<int> worker_main(int argc, char** argv) {
  if (argc != 3 || std::string_view(argv[1]) != detail::worker_word) return std::nullopt;
  const auto arguments = detail::parse_start_arguments(argv[2]);
  if (!arguments) {
    std::fprintf(stderr, "%s: this worker is from pyhost %s, but its pool is from another version\n", argv[0],
                 detail::worker_version().c_str());
    return EXIT_FAILURE;
  }
  // A worker is a background process of its terminal: writing there must not stop it.
  for (const int each : {SIGTTOU, SIGTTIN}) std::signal(each, SIG_IGN);
  detail::prepare_descriptors(*arguments);
  detail::end_when_pool_ends(*arguments);
  // Never destroyed: threads of modules may use it until the process ends.
  const int code = (new detail::WorkerSide(*arguments))->work();
  shut_down(code);
  return code;
}

}  // namespace pyhost
