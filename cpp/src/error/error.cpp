// Error: the names of its enumerators, its place, and what().
#include "pyhost/error.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "error/secrets.hpp"
#include "error/utf8.hpp"

namespace pyhost {

namespace {

std::string text_of_exception(const PythonException& exception) {
  return exception.message.empty() ? exception.type : exception.type + ": " + exception.message;
}

// Returns the last frame in the module's own code. If there is none, returns the last frame of all.
Frame place_of(const PythonException& exception) {
  if (exception.frames.empty()) return {};
  const auto is_own = [](const Frame& frame) { return origin_of(frame) == Origin::Module; };
  const auto own = std::find_if(exception.frames.rbegin(), exception.frames.rend(), is_own);
  return own != exception.frames.rend() ? *own : exception.frames.back();
}

std::string in_parentheses(const Frame& place) {
  if (place.file.empty()) return {};
  std::string text = " (" + place.file;
  if (place.line > 0) text += ":" + std::to_string(place.line);
  if (!place.function.empty()) text += " in " + place.function;
  return text + ")";
}

// Returns what() on one line: a caller may only log that, so it must contain neither a newline nor NUL.
std::string paragraph(const Error::Data& data) {
  std::string text = data.message + in_parentheses(data.place);
  if (!data.exception.chain.empty()) {
    const PythonException& earlier = data.exception.chain.front();
    text += earlier.link == Link::Cause ? "; caused by " : "; raised while handling ";
    text += text_of_exception(earlier) + in_parentheses(place_of(earlier));
  }
  if (!data.hint.empty()) text += "; " + data.hint;
  return detail::terminal_safe_line(text);
}

}  // namespace

std::string_view to_string(ErrorKind kind) noexcept {
  constexpr std::array<std::string_view, 15> names{
      "StartupFailed", "InvalidName",  "InvalidState",  "ModuleNotFound",  "ImportFailed",
      "BadContract",   "ModuleRaised", "InvalidResult", "TimedOut",        "Cancelled",
      "WorkerCrashed", "HostClosed",   "InvalidEngine", "InvalidSchedule", "Unreachable"};
  return names[static_cast<std::size_t>(kind)];
}

std::string_view to_string(Phase phase) noexcept {
  constexpr std::array<std::string_view, 7> names{"start", "find",   "import", "create",
                                                  "run",   "result", "close"};
  return names[static_cast<std::size_t>(phase)];
}

std::string_view to_string(Closed closed) noexcept {
  constexpr std::array<std::string_view, 10> names{
      "nothing",           "host",   "module", "instance", "handle", "pool",
      "other interpreter", "forked", "python", "process"};
  return names[static_cast<std::size_t>(closed)];
}

std::string_view to_string(Origin origin) noexcept {
  constexpr std::array<std::string_view, 3> names{"module", "library", "machinery"};
  return names[static_cast<std::size_t>(origin)];
}

std::string_view to_string(Link link) noexcept {
  constexpr std::array<std::string_view, 3> names{"none", "cause", "context"};
  return names[static_cast<std::size_t>(link)];
}

namespace {

// Returns whether this is a file of the Python package pyhost, wherever that is installed.
bool is_pyhosts_own(std::string_view file) {
  constexpr std::string_view package = "/python_modules/pyhost";
  const std::size_t name = file.rfind('/');
  return name != std::string_view::npos && file.substr(0, name).ends_with(package);
}

}  // namespace

Origin origin_of(const Frame& frame) noexcept {
  const std::string_view file = frame.file;
  if (file.starts_with("<frozen importlib") || file.ends_with("/importlib/__init__.py") ||
      file == "<pyhost>" || is_pyhosts_own(file)) {
    return Origin::Machinery;
  }
  constexpr std::array<std::string_view, 4> libraries{"/lib/python3", "/lib64/python3", "/site-packages/",
                                                      "/dist-packages/"};
  const bool library = file.starts_with("<frozen ") || std::ranges::any_of(libraries, [&](auto part) {
                         return file.find(part) != std::string_view::npos;
                       });
  return library ? Origin::Library : Origin::Module;
}

Error::Error(Data data) {
  // Texts from Python were masked already, but these may come from elsewhere, such as the key of a result.
  for (std::string* each : {&data.message, &data.pointer, &data.hint})
    *each = detail::mask_secrets(std::move(*each));
  if (data.place.file.empty()) data.place = place_of(data.exception);
  std::string what = paragraph(data);
  said_ = std::make_shared<const Said>(Said{std::move(data), std::move(what)});
}

}  // namespace pyhost
