// Error::rendered(): the error as text for a terminal.
#include <algorithm>
#include <string>
#include <string_view>

#include "error/utf8.hpp"
#include "pyhost/error.hpp"

namespace pyhost {

namespace {

constexpr std::size_t longest_shown = 2000;  // bytes of a message

class Renderer {
 public:
  explicit Renderer(const Rendering& how) : how_(how) {}

  std::string whole(const Error& error) {
    text_ += shown(error.message(), "    ") + "\n";
    if (error.exception().type.empty()) {
      if (!error.place().file.empty()) frame(error.place(), "  ");
    } else {
      body(error.exception(), "  ");
    }
    if (!error.hint().empty()) text_ += coloured("36", "hint:") + " " + shown(error.hint(), "    ") + "\n";
    return std::move(text_);
  }

 private:
  // Everything below the headline of an exception.
  void body(const PythonException& exception, const std::string& indent) {
    for (const std::string& note : exception.notes) {
      line(indent, "note: " + shown(note, indent + "  "));
    }
    frames(exception, indent);
    members(exception, indent);
    for (std::size_t i = 0; i < exception.chain.size(); ++i) {
      if (exception.chain_left_out > 0 && i == (exception.chain.size() + 1) / 2) {
        line(indent, "… " + counted(exception.chain_left_out, "exception") + " in between left out");
      }
      const PythonException& earlier = exception.chain[i];
      headline(indent, earlier.link == Link::Cause ? "caused by " : "while handling ", earlier);
      body(earlier, indent + "  ");
    }
    if (exception.chain.empty() && exception.chain_left_out > 0) {
      line(indent, "… " + counted(exception.chain_left_out, "exception") + " before it left out");
    }
  }

  void headline(const std::string& indent, const std::string& how, const PythonException& exception) {
    std::string said = coloured("1", shown(exception.type, {}));
    if (!exception.message.empty()) said += ": " + shown(exception.message, indent + "  ");
    line(indent, how + said);
  }

  void frames(const PythonException& exception, const std::string& indent) {
    for (std::size_t i = 0; i < exception.frames.size(); ++i) {
      if (exception.frames_left_out > 0 && i == exception.frames.size() / 2) {
        line(indent, "… " + counted(exception.frames_left_out, "line") + " in between left out");
      }
      if (how_.verbose || origin_of(exception.frames[i]) != Origin::Machinery) {
        frame(exception.frames[i], indent);
      }
    }
  }

  void frame(const Frame& frame, const std::string& indent) {
    std::string place = shown(frame.file, {});
    if (frame.line > 0) place += ":" + std::to_string(frame.line);
    if (!frame.function.empty()) place += " in " + shown(frame.function, {});
    const bool dimmed = origin_of(frame) != Origin::Module;
    line(indent, coloured(dimmed ? "2" : "35", place));
    source(frame, indent + "  ", dimmed);
    if (frame.repeated_times > 0) {
      const std::string same =
          frame.repeated_frames == 1 ? "line" : std::to_string(frame.repeated_frames) + " lines";
      line(indent, "… the same " + same + " " + std::to_string(frame.repeated_times) + " times more");
    }
  }

  void source(const Frame& frame, const std::string& indent, bool dimmed) {
    const std::size_t begin = frame.source.find_first_not_of(" \t\f");
    if (begin == std::string::npos) return;
    const std::string_view text = std::string_view(frame.source).substr(begin);
    line(indent, dimmed ? coloured("2", detail::terminal_safe(text)) : detail::terminal_safe(text));
    const std::string carets =
        under(text, frame.column - static_cast<int>(begin), frame.end_column - static_cast<int>(begin));
    if (!carets.empty()) line(indent, coloured("31", carets));
  }

  // Returns carets under the columns from `first` to before `end`. Returns no carets if they would cover the
  // whole line, apart from a comment.
  static std::string under(std::string_view text, int first, int end) {
    if (first < 1 || end <= first) return {};
    std::string before, carets;
    bool all = first == 1;
    int column = 1;
    for (; !text.empty() && column < end; ++column) {
      const detail::Character character = detail::first_character(text);
      // As wide as the text above the caret. A character that is shown as an escape is wider.
      const std::string above = detail::terminal_safe(text.substr(0, character.size));
      const bool tab = above == "\t";
      const auto wide = above.size() == character.size ? detail::width(character.code) : above.size();
      if (column < first) {
        before += tab ? "\t" : std::string(wide, ' ');
      } else {
        carets += std::string(wide, '^');
      }
      text.remove_prefix(character.size);
    }
    const std::size_t rest = text.find_first_not_of(' ');
    all = all && (rest == std::string_view::npos || text[rest] == '#');
    if (carets.empty()) carets = "^";  // at the end of the line, where something is missing
    return all ? std::string() : before + carets;
  }

  // In the layout of Python's own tracebacks since 3.11.
  void members(const PythonException& exception, const std::string& indent) {
    if (exception.members.empty() && exception.members_left_out == 0) return;
    const std::string rule(16, '-');
    for (std::size_t i = 0; i < exception.members.size(); ++i) {
      line(indent, "+" + rule + " " + std::to_string(i + 1) + " " + rule);
      headline(indent + "| ", {}, exception.members[i]);
      body(exception.members[i], indent + "|   ");
    }
    if (exception.members_left_out > 0) {
      line(indent, "| … " + counted(exception.members_left_out, "exception") + " more left out");
    }
    line(indent, "+" + std::string(35, '-'));
  }

  // Returns text from Python, safe for a terminal. Its other lines are indented, so that they do not look
  // like lines of ours.
  std::string shown(std::string_view text, const std::string& indent) const {
    const bool cut = !how_.verbose && text.size() > longest_shown;
    std::size_t size = cut ? longest_shown : text.size();
    while (cut && !detail::begins_character(text[size])) --size;
    std::string lines;
    for (const char c : detail::terminal_safe(text.substr(0, size))) {
      lines += c;
      if (c == '\n') lines += indent;
    }
    if (cut) lines += "… (cut, " + std::to_string(text.size()) + " bytes in all)";
    return lines;
  }

  std::string coloured(std::string_view colour, const std::string& text) const {
    return how_.colour ? "\x1b[" + std::string(colour) + "m" + text + "\x1b[0m" : text;
  }

  static std::string counted(std::size_t count, const std::string& what) {
    return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
  }

  void line(const std::string& indent, const std::string& text) { text_ += indent + text + "\n"; }

  Rendering how_;
  std::string text_;
};

}  // namespace

std::string Error::rendered(const Rendering& how) const { return Renderer(how).whole(*this); }

}  // namespace pyhost
