// One of the waiting threads reads for all of them.
#include "pool/process/worker_channel.hpp"

#include <sys/socket.h>

#include <cerrno>
#include <string>
#include <utility>

#include "pool/process/worker_start.hpp"

namespace pyhost::detail {

void WorkerChannel::send(FrameKind kind, std::uint64_t number, std::string_view content,
                         std::string_view tail) {
  if (is_forked()) return;
  const FrameHead head = head_of(kind, number, content.size() + tail.size());
  const auto piece = [](const void* at, std::size_t size) { return iovec{const_cast<void*>(at), size}; };
  std::array<iovec, 4> pieces{piece(&head, sizeof head), piece(content.data(), content.size()),
                              piece(tail.data(), tail.size()), piece(frame_end.data(), frame_end.size())};
  const std::lock_guard lock(sending_);
  write_all(pieces);
}

void WorkerChannel::send_json(FrameKind kind, std::uint64_t number, const Json& content) {
  std::string cbor;
  Json::to_cbor(content, cbor);
  send(kind, number, std::string_view(cbor));
}

template <class Take>
WireFrame WorkerChannel::wait(Take take) {
  std::unique_lock lock(mutex_);
  while (true) {
    if (auto frame = take()) return *std::move(frame);
    if (reading_) {
      received_.wait(lock);
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
    received_.notify_all();
  }
}

WireFrame WorkerChannel::next_order() {
  return wait([this]() -> std::optional<WireFrame> {
    if (orders_.empty()) return std::nullopt;
    WireFrame frame = std::move(orders_.front());
    orders_.pop_front();
    return frame;
  });
}

Json WorkerChannel::ask(const Json& question) {
  if (is_forked()) return {{"closed", "its host belongs to the process that forked this one"}};
  std::uint64_t number = 0;
  {
    const std::lock_guard lock(mutex_);
    number = ++last_question_;
  }
  send_json(FrameKind::Question, number, question);
  return json_of(wait([&]() -> std::optional<WireFrame> {
    auto found = answers_.extract(number);
    if (found.empty()) return std::nullopt;
    return std::move(found.mapped());
  }));
}

WireFrame WorkerChannel::read() {
  try {
    while (true) {
      if (auto frame = reader_.next()) return *std::move(frame);
      if (reader_.read(socket_) == FrameReader::Got::End) end_with_pool();
    }
  } catch (const BrokenFrame&) {
    end_with_pool();
  }
}

void WorkerChannel::write_all(std::array<iovec, 4>& pieces) {
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

}  // namespace pyhost::detail
