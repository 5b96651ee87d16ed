// Error: its words, for people and as data.
#include "pyhost/error.hpp"

#include <array>
#include <utility>

namespace pyhost {

namespace {

// One paragraph: what a caller sees who only logs what().
std::string paragraph(const Error::Data& data) {
  std::string text = data.message;
  if (!data.exception.frames.empty()) {
    const Frame& last = data.exception.frames.back();
    text += " (" + last.file + ":" + std::to_string(last.line);
    if (!last.function.empty()) text += " in " + last.function;
    text += ")";
  }
  if (!data.hint.empty()) text += "; " + data.hint;
  return text;
}

// What a module's author need not see: the import machinery between the host and the module.
bool is_import_machinery(const Frame& frame) {
  return frame.file.starts_with("<frozen importlib") || frame.file.ends_with("/importlib/__init__.py");
}

// Terminal escapes and other control characters are shown, not obeyed.
std::string inert(std::string_view text) {
  constexpr std::string_view hex = "0123456789abcdef";
  std::string shown;
  shown.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 && c != '\n' && c != '\t') || byte == 0x7f) {
      shown += "\\x";
      shown += hex[byte >> 4U];
      shown += hex[byte & 0xfU];
    } else {
      shown += c;
    }
  }
  return shown;
}

}  // namespace

std::string_view to_string(ErrorKind kind) noexcept {
  constexpr std::array<std::string_view, 9> names{"StartupFailed",  "InvalidName",   "InvalidState",
                                                  "ModuleNotFound", "ImportFailed",  "BadContract",
                                                  "ModuleRaised",   "InvalidResult", "HostClosed"};
  return names[static_cast<std::size_t>(kind)];
}

std::string_view to_string(Phase phase) noexcept {
  constexpr std::array<std::string_view, 7> names{"start", "find",   "import", "create",
                                                  "run",   "result", "close"};
  return names[static_cast<std::size_t>(phase)];
}

Error::Error(Data data) {
  std::string what = paragraph(data);
  said_ = std::make_shared<const Said>(Said{std::move(data), std::move(what)});
}

std::string Error::rendered() const {
  std::string text = message() + "\n";
  for (const Frame& frame : exception().frames) {
    if (is_import_machinery(frame)) continue;
    text += "  " + frame.file + ":" + std::to_string(frame.line);
    if (!frame.function.empty()) text += " in " + frame.function;
    text += "\n";
    if (!frame.source.empty()) text += "    " + frame.source + "\n";
  }
  if (!hint().empty()) text += "hint: " + hint() + "\n";
  return inert(text);
}

Json Error::to_json() const {
  Json frames = Json::array();
  for (const Frame& frame : exception().frames) {
    frames.push_back(
        {{"file", frame.file}, {"line", frame.line}, {"function", frame.function}, {"source", frame.source}});
  }
  Json json{{"schema", 1},        {"kind", to_string(kind())}, {"phase", to_string(phase())},
            {"module", module()}, {"message", message()},      {"pointer", pointer()},
            {"hint", hint()},     {"exception", nullptr}};
  if (!exception().type.empty()) {
    json["exception"] = {
        {"type", exception().type}, {"message", exception().message}, {"frames", std::move(frames)}};
  }
  return json;
}

}  // namespace pyhost
