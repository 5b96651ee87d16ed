// A worker process from within: takes batches of runs from its pool, and answers.
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <semaphore>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "error/error_from_json.hpp"
#include "host/host_internals.hpp"
#include "pool/process/messages.hpp"
#include "pool/process/shared_memory.hpp"
#include "pool/process/span_records.hpp"
#include "pool/process/wire_frames.hpp"
#include "pool/process/worker_process.hpp"
#include "pyhost/host.hpp"
#include "pyhost/worker_main.hpp"
#include "python/cpp_exception.hpp"
#include "python/gil.hpp"
#include "run/spans.hpp"
#include "run/wakeup_signal.hpp"

namespace pyhost {

namespace detail {

namespace {

// In a child that a module forks, nothing of this is its own.
std::atomic<bool> forked = false;

// Itself, and what it started.
[[noreturn]] void end_with_pool() {
  kill(0, SIGKILL);
  _exit(SIGKILL);
}

std::int64_t now_in_nanoseconds() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// The worker's end of what it shares with its pool. Any thread may send and ask; none holds the GIL.
class Channel {
 public:
  explicit Channel(int socket) : socket_(socket) {}

  void send(FrameKind kind, std::uint64_t number, std::string_view content) {
    if (forked) return;
    const FrameHead head = head_of(kind, number, content.size());
    const auto piece = [](const void* at, std::size_t size) { return iovec{const_cast<void*>(at), size}; };
    std::array<iovec, 3> pieces{piece(&head, sizeof head), piece(content.data(), content.size()),
                                piece(frame_end.data(), frame_end.size())};
    const std::lock_guard lock(sending_);
    write_all(pieces);
  }

  void send_json(FrameKind kind, std::uint64_t number, const Json& content) {
    std::string cbor;
    Json::to_cbor(content, cbor);
    send(kind, number, std::string_view(cbor));
  }

  /// The next frame for the main thread.
  WireFrame next_order() {
    return wait([this]() -> std::optional<WireFrame> { return take_order(); });
  }

  /// What the pool says to a question.
  Json ask(const Json& question) {
    if (forked) return {{"closed", "its host is that of the process which forked this one"}};
    std::uint64_t number = 0;
    {
      const std::lock_guard lock(mutex_);
      number = ++last_question_;
    }
    send_json(FrameKind::Ask, number, question);
    return json_of(wait([&]() -> std::optional<WireFrame> {
      auto found = answers_.extract(number);
      if (found.empty()) return std::nullopt;
      return std::move(found.mapped());
    }));
  }

 private:
  // One of those who wait reads for all of them.
  template <class Take>
  WireFrame wait(Take take) {
    std::unique_lock lock(mutex_);
    while (true) {
      if (auto frame = take()) return *std::move(frame);
      if (reading_) {
        came_.wait(lock);
        continue;
      }
      reading_ = true;
      lock.unlock();
      WireFrame frame = read();
      lock.lock();
      reading_ = false;
      if (frame.kind == FrameKind::Answer) {
        answers_.emplace(frame.number, std::move(frame));
      } else {
        orders_.push_back(std::move(frame));
      }
      came_.notify_all();
    }
  }

  std::optional<WireFrame> take_order() {
    if (orders_.empty()) return std::nullopt;
    WireFrame frame = std::move(orders_.front());
    orders_.pop_front();
    return frame;
  }

  WireFrame read() {
    try {
      while (true) {
        if (auto frame = reader_.next()) return *std::move(frame);
        if (reader_.read(socket_) == FrameReader::Got::End) end_with_pool();
      }
    } catch (const BrokenFrame&) {
      end_with_pool();
    }
  }

  void write_all(std::array<iovec, 3>& pieces) {
    msghdr message{};
    message.msg_iov = pieces.data();
    message.msg_iovlen = pieces.size();
    while (message.msg_iovlen > 0) {
      const ssize_t sent = sendmsg(socket_, &message, MSG_NOSIGNAL);
      if (sent < 0 && errno == EINTR) continue;
      if (sent < 0) end_with_pool();
      auto left = static_cast<std::size_t>(sent);
      while (message.msg_iovlen > 0 && left >= message.msg_iov->iov_len) {
        left -= message.msg_iov->iov_len;
        ++message.msg_iov;
        --message.msg_iovlen;
      }
      if (message.msg_iovlen == 0) break;
      message.msg_iov->iov_base = static_cast<char*>(message.msg_iov->iov_base) + left;
      message.msg_iov->iov_len -= left;
    }
  }

  int socket_;
  FrameReader reader_;
  std::mutex sending_;
  std::mutex mutex_;  // guards the rest; never held while reading
  std::condition_variable came_;
  bool reading_ = false;
  std::uint64_t last_question_ = 0;
  std::deque<WireFrame> orders_;
  std::map<std::uint64_t, WireFrame> answers_;
};

// What the worker was started with.
struct Place {
  int first = 0;
  pid_t pool = 0;

  int descriptor(Inherited which) const { return first + static_cast<int>(which); }
};

std::optional<Place> place_from(std::string_view word) {
  Place place;
  const auto* const end = word.data() + word.size();
  const auto first = std::from_chars(word.data(), end, place.first);
  if (first.ec != std::errc() || first.ptr == end || *first.ptr != ':') return std::nullopt;
  const auto pool = std::from_chars(first.ptr + 1, end, place.pool);
  if (pool.ec != std::errc() || std::string_view(pool.ptr, end) != ":" + worker_version())
    return std::nullopt;
  return place;
}

// Nothing of the application's is left open here, nor anything of the pool's in what modules start.
void settle_descriptors(const Place& place) {
  const auto first = static_cast<unsigned>(place.first);
  syscall(SYS_close_range, static_cast<unsigned>(STDERR_FILENO) + 1, first - 1, 0U);
  syscall(SYS_close_range, first + inherited_count, ~0U, 0U);
  for (int i = 0; i < inherited_count; ++i) fcntl(place.first + i, F_SETFD, FD_CLOEXEC);
}

// The kernel tells of the end of the pool's thread, which is that of its process at the latest.
void end_when_pool_does(const Place& place) {
  struct sigaction action{};
  action.sa_handler = [](int) { kill(0, SIGKILL); };
  sigaction(pool_ended_signal(), &action, nullptr);
  prctl(PR_SET_PDEATHSIG, pool_ended_signal());
  if (getppid() != place.pool) end_with_pool();
}

SharedPage* map_page(int memory) {
  void* const at = mmap(nullptr, sizeof(SharedPage), PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
  close(memory);
  if (at == MAP_FAILED) _exit(EXIT_FAILURE);
  return static_cast<SharedPage*>(at);
}

// So many bytes are mapped, or resident.
std::size_t bytes_of_statm(int which) {
  const int file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  std::array<char, 128> text{};
  if (file < 0 || read(file, text.data(), text.size() - 1) <= 0) text[0] = '\0';
  if (file >= 0) close(file);
  const char* at = text.data();
  for (; which > 0 && *at != '\0'; ++at) which -= *at == ' ';
  return std::strtoull(at, nullptr, 10) * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

void limit_memory(std::size_t bytes) {
  mallopt(M_ARENA_MAX, 1);  // each further one would take 64 MiB of address space for a start
  rlimit limit{};
  getrlimit(RLIMIT_AS, &limit);
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, bytes_of_statm(0) + bytes);
  limit.rlim_max = limit.rlim_cur;
  setrlimit(RLIMIT_AS, &limit);
}

struct Outcome {
  bool failed = false;
  std::string content = {};
};

Outcome outcome_of(const Error& error) {
  Outcome outcome{.failed = true};
  Json::to_cbor(error.to_json(), outcome.content);
  return outcome;
}

}  // namespace

/// The worker itself, from its start to its end.
class WorkerSide {
 public:
  explicit WorkerSide(const Place& place)
      : channel_(place.descriptor(Inherited::Channel)),
        page_(*map_page(place.descriptor(Inherited::Memory))),
        place_(place) {}

  int work() {
    watch();
    try {
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
      if (order.kind == FrameKind::Runs) make_batch(order);
    }
    host_.reset();
    return EXIT_SUCCESS;
  }

 private:
  void start(const Json& message) {
    Options options = options_from(message);
    tell_pool(options, message);
    logs_ = static_cast<bool>(options.on_log);
    limits_ = limits_from(message);
    host_.emplace(std::move(options));
    const HostInternals offers = host_->internals();
    offers.services.answer_elsewhere([this](const Json& question) { return channel_.ask(question); });
    {
      const GilAcquire gil;
      enable_wakeup_signal();  // the pool stops runs, which have no options here that would see to it
      const py::object python =
          require(PyImport_ImportModule("pyhost._worker"), "importing pyhost's own files");
      require(PyObject_CallMethod(python.ptr(), "begin", "ii", place_.descriptor(Inherited::Trace),
                                  stack_dump_signal()),
              "preparing for crashes");
    }
    pthread_atfork(nullptr, nullptr, [] { forked = true; });
    if (limits_.memory_limit > 0) limit_memory(limits_.memory_limit);
  }

  void tell_pool(Options& options, const Json& wanted) {
    if (wanted.at("on_output").get<bool>()) {
      options.on_output = [this](const Output& output) {
        const bool is_stdout = output.stream == Output::Stream::Stdout;
        if (forked) {
          static_cast<void>(
              !write(is_stdout ? STDOUT_FILENO : STDERR_FILENO, output.text.data(), output.text.size()));
          return;
        }
        channel_.send(FrameKind::Output, is_stdout ? 1 : 2,
                      std::string(output.module).append("\n").append(output.text));
      };
    }
    if (wanted.at("on_error").get<bool>())
      options.on_error = [this](const Error& error) {
        channel_.send_json(FrameKind::Seen, 0, error.to_json());
      };
    if (wanted.at("on_event").get<bool>())
      options.on_event = [this](const Event& event) {
        channel_.send_json(FrameKind::Event, 0, message_of(event));
      };
    if (wanted.at("on_log").get<bool>())
      options.on_log = [this](const LogRecord& record) {
        channel_.send_json(FrameKind::Log, 0, message_of(record));
      };
    if (wanted.at("on_span").get<bool>()) {
      options.on_span = [](const Span&) {};  // they are kept, and go with the outcome of their run
      span_place.buffer = &spans_;
    }
  }

  void make_batch(const WireFrame& frame) {
    const std::uint64_t batch = frame.number >> 32;
    const auto count = static_cast<std::uint32_t>(frame.number);
    BatchSlot& slot = page_.slots[batch % 2];
    std::string_view rest = frame.content;
    std::size_t used = 0;
    std::int64_t now = now_in_nanoseconds();
    last_module_.clear();
    for (std::uint32_t i = 0; i < count && !retiring_; ++i) {
      RunItem item;
      std::memcpy(&item, rest.data(), sizeof item);
      const std::string_view module = rest.substr(sizeof item, item.module_size);
      const std::string_view state = rest.substr(sizeof item + item.module_size, item.state_size);
      rest.remove_prefix(std::min(rest.size(), sizeof item + item.module_size + item.state_size));
      if (frame.missing > 0) {
        refuse_large(batch, i, std::string(module), item.state_size, slot, used);
        break;
      }
      if (module != last_module_ && is_spoiled()) break;
      last_module_ = module;
      current_.store(place_in_batch(batch, i) + 1, std::memory_order_release);
      if (!slot.claim(i, now)) break;
      if (span_place.buffer != nullptr) begin_spans(now);
      const Outcome outcome = make(module, state, item.for_json != 0);
      if (forked) _exit(EXIT_SUCCESS);  // what it has come to is for the process that forked it to tell
      const std::int64_t ended = now_in_nanoseconds();
      put(batch, i, outcome, ended - now, used);
      slot.finished.store(i + 1, std::memory_order_release);
      now = ended;
      if (limits_.max_resident > 0 && bytes_of_statm(1) > limits_.max_resident) retiring_ = true;
    }
    current_.store(0, std::memory_order_relaxed);
    if (logs_) flush_logs();
    channel_.send(FrameKind::Done, batch, std::string_view(retiring_ ? "spent" : ""));
  }

  void flush_logs() {
    host_->flush_logs();
    const std::uint64_t before = std::exchange(dropped_logs_, host_->dropped_logs());
    if (dropped_logs_ > before)
      channel_.send(FrameKind::LogsDropped, dropped_logs_ - before, std::string_view());
  }

  void begin_spans(std::int64_t now) {
    const std::chrono::steady_clock::time_point begun{std::chrono::nanoseconds(now)};
    spans_.assign(1, {.kind = SpanKind::Queue, .begin = begun, .end = begun});
  }

  // A large state comes alone, or last, and its frame has begun with all but the state itself.
  void refuse_large(std::uint64_t batch, std::uint32_t index, const std::string& module, std::uint64_t size,
                    BatchSlot& slot, std::size_t& used) {
    if (!slot.claim(index, now_in_nanoseconds())) return;
    const Outcome outcome =
        outcome_of(Error({.kind = ErrorKind::InvalidState,
                          .phase = Phase::Create,
                          .module = module,
                          .message = "the state of module '" + module + "' has " + std::to_string(size) +
                                     " bytes, and its worker process has not so much memory left",
                          .hint = "give the worker more memory, or the module the name of a file"}));
    put(batch, index, outcome, 0, used);
    slot.finished.store(index + 1, std::memory_order_release);
  }

  Outcome make(std::string_view module, std::string_view state, bool for_json) {
    try {
      return {.content = for_json ? host_->run(module, state).dump() : host_->run_text(module, state)};
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

  void put(std::uint64_t batch, std::uint32_t index, const Outcome& outcome, std::int64_t took,
           std::size_t& used) {
    std::vector<SpanRecord> spans = records_of(spans_);
    constexpr std::size_t most_spans = 1024;
    if (spans.size() > most_spans) spans.resize(most_spans);
    const Record record{.index = index,
                        .failed = static_cast<std::uint16_t>(outcome.failed ? 1 : 0),
                        .spans = static_cast<std::uint16_t>(spans.size()),
                        .nanoseconds = static_cast<std::uint64_t>(took),
                        .size = outcome.content.size()};
    const std::string_view bytes = bytes_of(spans);
    auto& area = page_.areas[batch % 2];
    const bool fits =
        outcome.content.size() < area.size() / 2 &&
        used + sizeof record + Record::padded(outcome.content.size()) + bytes.size() <= area.size();
    if (!fits) {
      if (!bytes.empty()) channel_.send(FrameKind::Spans, place_in_batch(batch, index), bytes);
      channel_.send(outcome.failed ? FrameKind::Failure : FrameKind::Result, place_in_batch(batch, index),
                    outcome.content);
      return;
    }
    std::memcpy(area.data() + used, &record, sizeof record);
    std::memcpy(area.data() + used + sizeof record, outcome.content.data(), outcome.content.size());
    used += sizeof record + Record::padded(outcome.content.size());
    std::ranges::copy(bytes, area.data() + used);
    used += bytes.size();
  }

  // Whether a module has left the worker so that no other one could be imported: it goes on with what it has,
  // and the rest is for another worker.
  bool is_spoiled() {
    const int free = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (free >= 0) close(free);
    retiring_ = free < 0 || refuses_imports();
    return retiring_;
  }

  static bool refuses_imports() {
    const GilAcquire gil;
    const bool refused = PySys_Audit("import", "sOOOO", "modules", Py_None, Py_None, Py_None, Py_None) != 0 ||
                         PySys_Audit("open", "sss", "", "r", "") != 0 ||
                         PySys_Audit("compile", "OO", Py_None, Py_None) != 0;
    PyErr_Clear();
    return refused;
  }

  // On a thread of its own, which no module blocks.
  void watch() {
    std::thread([this, bell = place_.descriptor(Inherited::Bell)] {
      sigset_t all;
      sigfillset(&all);
      sigdelset(&all, pool_ended_signal());
      pthread_sigmask(SIG_SETMASK, &all, nullptr);
      while (true) {
        char rung = 0;
        const ssize_t got = read(bell, &rung, 1);
        if (got == 0) end_with_pool();
        if (got < 0 && errno != EINTR) return;  // a module has closed it
        if (got == 1) cancels_.release();
      }
    }).detach();
    // Made before there is a limit that leaves no room for a thread; waits for the GIL, as the other may not.
    std::thread([this] {
      while (true) {
        cancels_.acquire();
        cancel();
      }
    }).detach();
  }

  // As long as this thread has the GIL, no run begins or ends.
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

  Channel channel_;
  SharedPage& page_;
  Place place_;
  std::optional<Host> host_;
  WorkerLimits limits_;
  bool logs_ = false;
  std::uint64_t dropped_logs_ = 0;
  bool retiring_ = false;
  std::string last_module_;
  std::vector<Span> spans_;  // of the run that is under way, if the pool wants them
  std::atomic<std::uint64_t> current_ = 0;
  std::counting_semaphore<> cancels_{0};
};

}  // namespace detail

std::optional<int> worker_main(int argc, char** argv) {
  if (argc != 3 || std::string_view(argv[1]) != detail::worker_word) return std::nullopt;
  const auto place = detail::place_from(argv[2]);
  if (!place) {
    std::fprintf(stderr, "%s: this worker is of pyhost %s, and its pool is of another one\n", argv[0],
                 detail::worker_version().c_str());
    return EXIT_FAILURE;
  }
  // A worker is in the background of its terminal: it may write there, and reads nothing.
  for (const int each : {SIGTTOU, SIGTTIN}) std::signal(each, SIG_IGN);
  detail::settle_descriptors(*place);
  detail::end_when_pool_does(*place);
  // Never destroyed: threads of modules may use it to the very end.
  return (new detail::WorkerSide(*place))->work();
}

}  // namespace pyhost
