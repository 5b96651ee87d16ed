// The pool's end of a channel. It blocks only in ppoll().
#include "pool/process/process_link.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

namespace pyhost::detail {

namespace {

using Clock = std::chrono::steady_clock;

// The interval, in milliseconds, of checks for the end of a process if the system has no descriptor for it.
constexpr int tick = 50;

timespec left_until(std::optional<Clock::time_point> until, bool ticks) {
  std::int64_t left = ticks ? std::int64_t{tick} * 1'000'000 : std::int64_t{3'600'000'000'000};
  if (until) {
    const auto span = std::chrono::duration_cast<std::chrono::nanoseconds>(*until - Clock::now());
    left = std::clamp<std::int64_t>(span.count(), 0, left);
  }
  return {left / 1'000'000'000, left % 1'000'000'000};
}

}  // namespace

ProcessLink::ProcessLink(const std::filesystem::path& program, std::string start) : process_(program) {
  put(std::move(start));
  send();  // so that the worker starts before a run waits for it
}

void ProcessLink::put(std::string text) { outgoing_.push_back({std::move(text), {}}); }

void ProcessLink::put(std::string_view text, bool is_view) {
  if (is_view) {
    outgoing_.push_back({{}, text});
  } else {
    outgoing_.push_back({std::string(text), {}});
  }
}

bool ProcessLink::wait(int wake, std::optional<Clock::time_point> until, const OnFrame& on_frame) {
  if (!outgoing_.empty() && !send()) return false;
  const bool sends = !outgoing_.empty();
  std::array<pollfd, 3> waited{
      {{process_.channel(), static_cast<short>(sends ? POLLIN | POLLOUT : POLLIN), 0},
       {wake, POLLIN, 0},
       {process_.ended_descriptor(), POLLIN, 0}}};
  const timespec most = left_until(until, process_.ended_descriptor() < 0);
  if (ppoll(waited.data(), waited.size(), &most, nullptr) < 0) return errno == EINTR;
  if (waited[0].revents != 0 && receive(on_frame) == FrameReader::Got::End) return false;
  if (waited[2].revents != 0 || (process_.ended_descriptor() < 0 && process_.has_ended())) {
    receive(on_frame);
    return false;
  }
  return true;
}

FrameReader::Got ProcessLink::receive(const OnFrame& on_frame) {
  constexpr int most_reads = 64;
  FrameReader::Got got = FrameReader::Got::Bytes;
  for (int reads = 0; reads < most_reads && got == FrameReader::Got::Bytes; ++reads) {
    got = reader_.read(process_.channel());
    while (auto frame = reader_.next()) on_frame(*std::move(frame));
  }
  return got;
}

bool ProcessLink::send() {
  while (!outgoing_.empty()) {
    constexpr std::size_t most = 16;
    std::array<iovec, most> pieces{};
    std::size_t count = 0;
    for (const Piece& piece : outgoing_) {
      if (count == most) break;
      const std::string_view text = piece.text.data() != nullptr ? piece.text : std::string_view(piece.own);
      const std::size_t skipped = count == 0 ? sent_ : 0;
      pieces[count++] = {const_cast<char*>(text.data()) + skipped, text.size() - skipped};
    }
    msghdr message{};
    message.msg_iov = pieces.data();
    message.msg_iovlen = count;
    const ssize_t sent = sendmsg(process_.channel(), &message, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return errno == EAGAIN;
    auto left = static_cast<std::size_t>(sent);
    for (std::size_t i = 0; i < count && left >= pieces[i].iov_len; ++i) {
      left -= pieces[i].iov_len;
      outgoing_.pop_front();
      sent_ = 0;
    }
    sent_ += left;
  }
  if (on_sent) std::exchange(on_sent, nullptr)();
  return true;
}

}  // namespace pyhost::detail
