// Reads tracebacks into frames with source lines and columns.
#include "python/traceback.hpp"

#include <algorithm>
#include <utility>

#include "error/secrets.hpp"
#include "error/utf8.hpp"

namespace pyhost::detail {

namespace {

constexpr std::size_t frames_at_each_end = 50;
constexpr std::size_t longest_cycle = 12;  // the most functions in a recursion that call each other

struct Step {
  py::object code;
  int instruction;
  int line;

  bool operator==(const Step& other) const {
    return code.ptr() == other.code.ptr() && instruction == other.instruction;
  }
};

// One step of the listing, and the recursion that ends with it.
struct Listed {
  std::size_t step;
  int repeated_frames = 0;
  int repeated_times = 0;
};

PyCodeObject* as_code(const py::object& code) { return reinterpret_cast<PyCodeObject*>(code.ptr()); }

std::vector<Step> steps_of(PyObject* traceback) {
  std::vector<Step> steps;
  if (traceback == nullptr || !PyTraceBack_Check(traceback)) return steps;
  for (auto* at = reinterpret_cast<PyTracebackObject*>(traceback); at != nullptr; at = at->tb_next) {
    py::object code = steal(reinterpret_cast<PyObject*>(PyFrame_GetCode(at->tb_frame)));
    // Since Python 3.12 the line number is computed on demand.
    const int line = at->tb_lineno > 0 ? at->tb_lineno : PyCode_Addr2Line(as_code(code), at->tb_lasti);
    steps.push_back({std::move(code), at->tb_lasti, line});
  }
  return steps;
}

// Returns how often the `cycle` steps from `begin` on are repeated directly after them.
std::size_t times_again(const std::vector<Step>& steps, std::size_t begin, std::size_t cycle) {
  std::size_t same = 0;
  while (begin + cycle + same < steps.size() && steps[begin + same] == steps[begin + cycle + same]) ++same;
  return same / cycle;
}

std::vector<Listed> folded(const std::vector<Step>& steps) {
  std::vector<Listed> listed;
  for (std::size_t i = 0; i < steps.size();) {
    std::size_t cycle = 1, again = 0;
    for (; cycle <= longest_cycle; ++cycle) {
      again = times_again(steps, i, cycle);
      if (again >= 2 && again * cycle >= 3) break;
    }
    if (cycle > longest_cycle) {
      listed.push_back({i++});
      continue;
    }
    for (std::size_t j = 0; j < cycle; ++j) listed.push_back({i + j});
    listed.back().repeated_frames = static_cast<int>(cycle);
    listed.back().repeated_times = static_cast<int>(again);
    i += cycle * (1 + again);
  }
  return listed;
}

std::string code_attribute(const py::object& code, const char* name) {
  const py::object value = steal(PyObject_GetAttrString(code.ptr(), name));
  if (!value) PyErr_Clear();
  return text_of(value.ptr(), 1024);
}

void add_columns([[maybe_unused]] const Step& step, [[maybe_unused]] Frame& frame) {
#if PY_VERSION_HEX >= 0x030b0000
  int line = 0, column = 0, end_line = 0, end_column = 0;
  if (PyCode_Addr2Location(as_code(step.code), step.instruction, &line, &column, &end_line, &end_column) ==
          0 ||
      line != frame.line || end_line < line) {
    return;
  }
  const int end = end_line == line ? end_column : static_cast<int>(frame.source.size());
  frame.column = column_of_byte(frame.source, column);
  frame.end_column = column_of_byte(frame.source, end);
  if (frame.column == 0 || frame.end_column <= frame.column) frame.column = frame.end_column = 0;
#endif
}

std::size_t characters_in(const std::string& utf8) {
  return static_cast<std::size_t>(std::ranges::count_if(utf8, begins_character));
}

void cut_after(std::string& utf8, std::size_t characters) {
  std::size_t at = 0;
  while (at < utf8.size() && (characters > 0 || !begins_character(utf8[at]))) {
    if (begins_character(utf8[at])) --characters;
    ++at;
  }
  utf8.resize(at);
}

}  // namespace

std::string text_of(PyObject* str, std::size_t limit) {
  if (str == nullptr || !PyUnicode_Check(str)) return {};
  const auto length = static_cast<std::size_t>(PyUnicode_GET_LENGTH(str));
  // Cut before encoding, because a message of gigabytes must not be copied. With secrets, cut later than the
  // limit, because a secret that is cut in two would not be recognized.
  const std::size_t more = longest_secret();
  const bool is_cut = length > limit + more;
  const py::object head =
      is_cut ? steal(PyUnicode_Substring(str, 0, static_cast<Py_ssize_t>(limit + more))) : borrow(str);
  const py::object bytes =
      head ? steal(PyUnicode_AsEncodedString(head.ptr(), "utf-8", "backslashreplace")) : py::object();
  if (!bytes) {
    PyErr_Clear();
    return {};
  }
  std::string text(PyBytes_AS_STRING(bytes.ptr()), static_cast<std::size_t>(PyBytes_GET_SIZE(bytes.ptr())));
  if (more > 0) {
    text = mask_secrets(std::move(text));
    const std::size_t left = characters_in(text);
    cut_after(text, std::min(limit, is_cut ? left - std::min(left, more) : left));
  }
  if (length > limit) text += "… (cut, " + std::to_string(length) + " characters in all)";
  return text;
}

void read_traceback(PyObject* traceback, SourceFiles* sources, PythonException& into) {
  const std::vector<Step> steps = steps_of(traceback);
  const std::vector<Listed> listed = folded(steps);
  into.frames_left_out += take_both_ends(listed.size(), frames_at_each_end, [&](std::size_t i) {
    const Step& step = steps[listed[i].step];
    Frame frame;
    frame.file = code_attribute(step.code, "co_filename");
    frame.line = std::max(step.line, 0);
    frame.function = code_attribute(step.code, "co_name");
    frame.repeated_frames = listed[i].repeated_frames;
    frame.repeated_times = listed[i].repeated_times;
    if (sources != nullptr) {
      frame.source = sources->line(frame.file, frame.line);
      add_columns(step, frame);
    }
    into.frames.push_back(std::move(frame));
  });
}

}  // namespace pyhost::detail
