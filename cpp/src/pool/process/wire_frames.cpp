// Writes frames, and reads them without trusting the sender.
#include "pool/process/wire_frames.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>

namespace pyhost::detail {

namespace {

constexpr std::uint32_t mark = 0x66687970;                  // "pyhf"
constexpr std::size_t read_at_once = std::size_t{1} << 20;  // of a large frame
constexpr std::uint32_t last_kind = static_cast<std::uint32_t>(FrameKind::HostError);

void check(const FrameHead& head) {
  if (head.mark != mark) throw BrokenFrame("it wrote garbage to its channel");
  const auto kind = static_cast<std::uint32_t>(head.kind);
  if (kind == 0 || kind > last_kind) throw BrokenFrame("it sent a frame of an unknown kind");
  if (head.size > longest_content)
    throw BrokenFrame("it sent a frame that is too long: " + std::to_string(head.size) + " bytes");
}

}  // namespace

FrameHead head_of(FrameKind kind, std::uint64_t number, std::size_t size) noexcept {
  return {mark, kind, number, size};
}

std::string frame_text(FrameKind kind, std::uint64_t number, std::string_view content) {
  const FrameHead head = head_of(kind, number, content.size());
  std::string text(reinterpret_cast<const char*>(&head), sizeof head);
  return text.append(content).append(frame_end);
}

std::string json_frame_text(FrameKind kind, std::uint64_t number, const Json& content) {
  std::string cbor;
  Json::to_cbor(content, cbor);
  return frame_text(kind, number, cbor);
}

Json json_of(const WireFrame& frame) {
  try {
    return Json::from_cbor(frame.content);
  } catch (const Json::exception&) {
    throw BrokenFrame("it sent a frame with invalid content");
  }
}

FrameReader::Got FrameReader::read_large(int socket) {
  const std::uint64_t missing = large_head_.size - large_read_;
  std::string& content = large_frame_.content;
  ssize_t got = 0;
  if (large_frame_.missing > 0) {
    got = recv(socket, buffer_.data(), std::min<std::uint64_t>(missing, buffer_.size()), 0);
  } else {
    const std::size_t filled = content.size();
    content.resize(filled + std::min<std::uint64_t>(missing, read_at_once));
    got = recv(socket, content.data() + filled, content.size() - filled, 0);
    content.resize(filled + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  }
  if (got <= 0) return got < 0 && (errno == EAGAIN || errno == EINTR) ? Got::Nothing : Got::End;
  large_read_ += static_cast<std::uint64_t>(got);
  return Got::Bytes;
}

FrameReader::Got FrameReader::read(int socket) {
  char* to = nullptr;
  std::size_t most = 0;
  if (large_) {
    if (large_read_ < large_head_.size) return read_large(socket);
    to = tail_.data() + tail_read_;
    most = tail_.size() - tail_read_;
  } else {
    if (begin_ > 0) {
      std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
      end_ -= std::exchange(begin_, 0);
    }
    to = buffer_.data() + end_;
    most = buffer_.size() - end_;
  }
  const ssize_t got = recv(socket, to, most, 0);
  if (got <= 0) return got < 0 && (errno == EAGAIN || errno == EINTR) ? Got::Nothing : Got::End;
  (large_ ? tail_read_ : end_) += static_cast<std::size_t>(got);
  return Got::Bytes;
}

std::optional<WireFrame> FrameReader::next() {
  if (large_) return next_large();
  FrameHead head;
  if (end_ - begin_ < sizeof head) return std::nullopt;
  std::memcpy(&head, buffer_.data() + begin_, sizeof head);
  check(head);
  const std::size_t whole = sizeof head + head.size + frame_end.size();
  if (end_ - begin_ < whole) {
    if (whole > buffer_.size()) begin_large(head);
    return std::nullopt;
  }
  const char* content = buffer_.data() + begin_ + sizeof head;
  if (std::string_view(content + head.size, frame_end.size()) != frame_end)
    throw BrokenFrame("it sent a frame without an end mark");
  begin_ += whole;
  return WireFrame{head.kind, head.number, std::string(content, head.size)};
}

void FrameReader::begin_large(const FrameHead& head) {
  large_ = true;
  large_head_ = head;
  tail_read_ = 0;
  large_frame_ = {head.kind, head.number, {}, 0};
  const std::size_t here = end_ - begin_ - sizeof head;
  const std::size_t of_content = std::min<std::size_t>(here, head.size);
  try {
    large_frame_.content.reserve(head.size);
  } catch (const std::bad_alloc&) {
    large_frame_.missing = head.size - of_content;  // its bytes are still read, because more frames follow
  }
  large_frame_.content.append(buffer_, begin_ + sizeof head, of_content);
  large_read_ = of_content;
  tail_read_ = here - of_content;
  std::memcpy(tail_.data(), buffer_.data() + end_ - tail_read_, tail_read_);
  begin_ = end_ = 0;
}

std::optional<WireFrame> FrameReader::next_large() {
  if (large_read_ < large_head_.size || tail_read_ < tail_.size()) return std::nullopt;
  large_ = false;
  if (std::string_view(tail_.data(), tail_.size()) != frame_end)
    throw BrokenFrame("it sent a frame without an end mark");
  return std::move(large_frame_);
}

}  // namespace pyhost::detail
