// Splits the input into states. Recognises only the strings and brackets of JSON, and leaves the text of each
// state unchanged.
#include "cli/states.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "cli/errors.hpp"
#include "cli/files.hpp"
#include "error/system_limits.hpp"

namespace pyhost::cli {

namespace {

constexpr std::string_view space = " \t\r\n";

std::string trimmed(std::string text) {
  text.erase(text.find_last_not_of(space) + 1);
  text.erase(0, std::min(text.find_first_not_of(space), text.size()));
  return text;
}

}  // namespace

std::uint64_t state_hash(std::string_view module, std::string_view text) noexcept {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const std::string_view part : {module, std::string_view("\n"), text}) {
    for (const char c : part) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  }
  return hash;
}

States::States(const std::string& file)
    : file_(names_stdin(file) ? "stdin" : file),
      descriptor_(names_stdin(file) ? take_stdin() : open(file.c_str(), O_RDONLY | O_CLOEXEC)),
      stopped_(detail::require_from_system(eventfd(0, EFD_CLOEXEC), "the states cannot be read")) {
  struct stat about{};
  if (descriptor_ >= 0 && fstat(descriptor_, &about) == 0 && S_ISDIR(about.st_mode)) errno = EISDIR;
  if (descriptor_ < 0 || S_ISDIR(about.st_mode)) {
    throw UsageError("cannot read the states from '" + file_ + "': " + std::strerror(errno));
  }
  if (!S_ISREG(about.st_mode)) return;
  size_ = static_cast<std::uint64_t>(about.st_size);
  device_ = about.st_dev;
  inode_ = about.st_ino;
}

States::~States() {
  close(descriptor_);
  close(stopped_);
}

bool States::are_in(const std::string& file) const {
  struct stat about{};
  return inode_ != 0 && stat(file.c_str(), &about) == 0 && about.st_dev == device_ && about.st_ino == inode_;
}

bool States::are_in(int descriptor) const noexcept {
  struct stat about{};
  return inode_ != 0 && fstat(descriptor, &about) == 0 && about.st_dev == device_ && about.st_ino == inode_;
}

void States::stop() noexcept {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(stopped_, &one, sizeof one);
}

std::optional<double> States::fraction_read() const noexcept {
  if (size_ == 0) return std::nullopt;
  const double read =
      decompresses_ ? static_cast<double>(lseek(descriptor_, 0, SEEK_CUR)) : static_cast<double>(read_);
  return std::min(1.0, read / static_cast<double>(size_));
}

void States::refuse(const std::string& problem) const {
  throw UsageError(file_ + ":" + std::to_string(line_) + ": " + problem);
}

bool States::fill() {
  constexpr std::size_t at_once = 65536;
  return fill(at_once);
}

// Returns false at the end of the input and after stop().
bool States::fill(std::size_t at_once) {
  const int input = decompression_ ? decompression_->descriptor() : descriptor_;
  buffer_.erase(0, at_);
  at_ = 0;
  std::array<pollfd, 2> both{{{input, POLLIN, 0}, {stopped_, POLLIN, 0}}};
  while (poll(both.data(), both.size(), -1) < 0 && errno == EINTR) continue;
  if (both[1].revents != 0) return form_ = Form::Ended, false;
  const std::size_t before = buffer_.size();
  buffer_.resize(before + at_once);
  ssize_t got = 0;
  while ((got = read(input, buffer_.data() + before, at_once)) < 0 && errno == EINTR) continue;
  if (got < 0) throw UsageError("cannot read the states from '" + file_ + "': " + std::strerror(errno));
  buffer_.resize(before + static_cast<std::size_t>(got));
  if (got > 0 || !decompression_) return got > 0;
  const std::string problem = decompression_->end();
  if (!problem.empty()) throw UsageError("cannot read the states from '" + file_ + "': " + problem);
  return false;
}

std::optional<char> States::peek() {
  if (at_ == buffer_.size() && !fill()) return std::nullopt;
  return buffer_[at_];
}

void States::skip_space() {
  for (auto c = peek(); c && space.find(*c) != std::string_view::npos; c = peek()) {
    if (c == '\n') ++line_;
    ++at_, ++read_;
  }
}

void States::begin() {
  constexpr std::string_view mark = "\xef\xbb\xbf";  // the byte order mark that some editors write
  constexpr std::size_t longest_magic = 4;
  while (buffer_.size() < longest_magic && fill(longest_magic - buffer_.size())) continue;
  if (const std::string form = compression_of(buffer_); !form.empty()) {
    decompression_.emplace(python_, descriptor_, form, buffer_);
    decompresses_ = true;
    buffer_.clear();
    while (buffer_.size() < longest_magic && fill()) continue;
  }
  refuse_utf_16();
  if (std::string_view(buffer_).starts_with(mark)) at_ += mark.size();
  skip_space();
  if (form_ != Form::Unknown) return;
  form_ = peek() == '[' ? Form::Array : Form::Lines;
  if (form_ == Form::Lines) return;
  ++at_;
  skip_space();
  if (peek() != ']') return;
  ++at_;
  end_array();
}

std::optional<StateText> States::next() {
  const bool is_form_unknown = form_ == Form::Unknown;
  if (is_form_unknown) begin();
  if (form_ == Form::Ended) return std::nullopt;
  skip_space();
  const std::size_t line = line_;
  if (form_ == Form::Lines && !peek()) form_ = Form::Ended;
  std::string text = form_ == Form::Lines ? read_line() : form_ == Form::Array ? read_element() : "";
  if (form_ == Form::Ended && text.empty()) return std::nullopt;
  if (form_ == Form::Lines && is_form_unknown) refuse_object_over_lines(text);
  return StateText{trimmed(std::move(text)), next_index_++, line};
}

// Recognises UTF-16 by its byte order mark, or by ASCII characters of two bytes each.
void States::refuse_utf_16() const {
  const std::string_view text = std::string_view(buffer_).substr(at_);
  const bool pairs = text.size() >= 4 && (text[0] == 0) == (text[2] == 0) &&
                     (text[1] == 0) == (text[3] == 0) && (text[0] == 0) != (text[1] == 0);
  if (!pairs && !text.starts_with("\xff\xfe") && !text.starts_with("\xfe\xff")) return;
  refuse("this is UTF-16, but states must be UTF-8; `iconv -f UTF-16 -t UTF-8` converts them");
}

void States::refuse_object_over_lines(const std::string& first_line) {
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < first_line.size(); ++i) {
    const char c = first_line[i];
    if (in_string && c == '\\') ++i;
    if (c == '"') in_string = !in_string;
    if (!in_string) depth += c == '{' || c == '[' ? 1 : c == '}' || c == ']' ? -1 : 0;
  }
  if (in_string || depth <= 0 || !first_line.starts_with('{')) return;
  const std::size_t after = line_;
  skip_space();
  if (!peek() || peek() == '{') return;
  line_ = after - 1;  // the line where the object begins
  refuse(
      "this object spans several lines; write each state on a line of its own, as `jq -c .` does, or all in "
      "one array, as `jq -s .` does");
}

std::string States::read_line() {
  std::size_t from = 0;
  while (true) {
    const std::size_t end = buffer_.find('\n', at_ + from);
    if (end != std::string::npos) {
      std::string line = buffer_.substr(at_, end - at_);
      read_ += line.size() + 1;
      at_ = end + 1;
      ++line_;
      return line;
    }
    from = buffer_.size() - at_;
    if (fill()) continue;
    std::string line = form_ == Form::Ended ? "" : buffer_.substr(at_);  // after stop() it may be incomplete
    read_ += line.size();
    at_ = buffer_.size();
    return line;
  }
}

// Reads up to the comma or bracket after the element. Returns a blank text for a missing element; the host
// refuses it as a state.
std::string States::read_element() {
  std::string text;
  std::size_t depth = 0;
  bool in_string = false;
  while (const std::optional<char> next = peek()) {
    const char c = *next;
    ++at_, ++read_;
    if (c == '\n') ++line_;
    const bool ends = !in_string && depth == 0 && (c == ',' || c == ']');
    if (ends) {
      if (c == ']') end_array();
      return text + ' ';  // an empty text would mean the end of the input
    }
    text += c;
    if (in_string && c == '\\') {
      if (const std::optional<char> escaped = peek()) text += *escaped, ++at_, ++read_;
      continue;
    }
    if (c == '"') in_string = !in_string;
    if (in_string) continue;
    if (c == '{' || c == '[') ++depth;
    if ((c == '}' || c == ']') && depth > 0) --depth;
  }
  if (form_ == Form::Ended) return {};
  refuse("the array of states is not closed");
}

void States::end_array() {
  skip_space();
  if (peek()) {
    refuse(
        "there is more text after the array of states; input that begins with [ must be exactly one array, "
        "and JSON lines must begin with an object");
  }
  form_ = Form::Ended;
}

}  // namespace pyhost::cli
