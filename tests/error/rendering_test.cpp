#include <doctest/doctest.h>

#include "support.hpp"

using namespace pyhost;

namespace {

std::string rendered(Error::Data data, const Rendering& how = {}) {
  return Error(std::move(data)).rendered(how);
}

Error::Data raised(PythonException exception) {
  return {.kind = ErrorKind::ModuleRaised,
          .phase = Phase::Run,
          .module = "m",
          .message = "module 'm' raised " + exception.type + ": " + exception.message,
          .exception = std::move(exception)};
}

}  // namespace

TEST_CASE("a rendered error has the message, notes, place, causes and hint in this order") {
  Error::Data data = raised({.type = "LookupError", .message = "no price"});
  data.exception.notes = {"of today"};
  data.exception.frames = {{"<frozen importlib._bootstrap>", 5, "f", "", 0, 0, 0, 0},
                           {"m.py", 9, "run", "    raise LookupError() from e", 5, 31, 0, 0}};
  data.exception.chain = {{.type = "KeyError", .message = "'gold'", .link = Link::Cause},
                          {.type = "OSError", .message = "gone", .link = Link::Context}};
  data.exception.chain[0].frames = {{"m.py", 7, "run", "    x = prices[\"gold\"]", 9, 23, 0, 0}};
  data.hint = "look again";
  CHECK(rendered(data) ==
        "module 'm' raised LookupError: no price\n"
        "  note: of today\n"
        "  m.py:9 in run\n"
        "    raise LookupError() from e\n"
        "  caused by KeyError: 'gold'\n"
        "    m.py:7 in run\n"
        "      x = prices[\"gold\"]\n"
        "          ^^^^^^^^^^^^^^\n"
        "  while handling OSError: gone\n"
        "hint: look again\n");
  CHECK(rendered(data, {.verbose = true}).find("<frozen importlib._bootstrap>:5 in f") != std::string::npos);
}

TEST_CASE("each member of a rendered group stands between rules with its own notes and place") {
  Error::Data data = raised({.type = "G", .message = "all"});
  data.exception.members = {{.type = "ValueError", .message = "1"}, {.type = "G", .message = "inner"}};
  data.exception.members[1].members = {{.type = "KeyError", .message = "'x'"}};
  data.exception.members_left_out = 3;
  CHECK(rendered(data) ==
        "module 'm' raised G: all\n"
        "  +---------------- 1 ----------------\n"
        "  | ValueError: 1\n"
        "  +---------------- 2 ----------------\n"
        "  | G: inner\n"
        "  |   +---------------- 1 ----------------\n"
        "  |   | KeyError: 'x'\n"
        "  |   +-----------------------------------\n"
        "  | … 3 exceptions more left out\n"
        "  +-----------------------------------\n");
}

TEST_CASE("a rendered traceback has one line for recursion and one for omitted frames") {
  Error::Data data = raised({.type = "RecursionError", .message = "too deep"});
  data.exception.frames = {{"m.py", 1, "f", "", 0, 0, 0, 0}, {"m.py", 2, "g", "", 0, 0, 2, 400}};
  data.exception.frames_left_out = 7;
  CHECK(rendered(data) ==
        "module 'm' raised RecursionError: too deep\n"
        "  m.py:1 in f\n"
        "  … 7 lines in between left out\n"
        "  m.py:2 in g\n"
        "  … the same 2 lines 400 times more\n");
}

TEST_CASE("text from Python cannot control the terminal and cannot imitate a line of pyhost") {
  const std::string text =
      rendered(raised({.type = "ValueError",
                       .message = "\x1b[31m \xc2\x9b \xe2\x80\xae\r\nerror: \xff \x7f \xf0\x9f\x98\x80"}));
  CHECK(text ==
        "module 'm' raised ValueError: \\x1b[31m \\x9b \\u202e\\x0d\n"
        "    error: \\xff \\x7f \xf0\x9f\x98\x80\n");
}

TEST_CASE("carets are aligned under wide characters and tabs, and after the end of a line") {
  const auto carets = [](const char* source, int column, int end) {
    Error::Data data = raised({.type = "E"});
    data.exception.frames = {{"m.py", 1, "", source, column, end, 0, 0}};
    const std::string text = rendered(std::move(data));
    return text.substr(text.find('\n', text.find("m.py")) + 1);
  };
  CHECK(carets("    f(価格, x)", 7, 9) == "    f(価格, x)\n      ^^^^\n");
  CHECK(carets("    f('ที่', x)", 7, 12) == "    f('ที่', x)\n      ^^^\n");
  CHECK(carets("a\tb", 3, 4) == "    a\tb\n     \t^\n");
  CHECK(carets("f(", 3, 4) == "    f(\n      ^\n");
  CHECK(carets("  whole", 3, 8) == "    whole\n");
  CHECK(carets("  whole", 1, 3) == "    whole\n");
  CHECK(carets("x", 500, 600).find("^") != std::string::npos);
}

TEST_CASE("a rendered error has colour only on request, and never within text from Python") {
  Error::Data data = raised({.type = "E", .message = "\x1b[31m"});
  data.exception.frames = {{"/usr/lib/python3.11/json/decoder.py", 1, "f", "x", 0, 0, 0, 0},
                           {"m.py", 1, "f", "x", 0, 0, 0, 0}};
  data.hint = "h";
  CHECK(rendered(data).find('\x1b') == std::string::npos);
  const std::string text = rendered(data, {.colour = true});
  CHECK(text.find("\x1b[2m/usr/lib") != std::string::npos);
  CHECK(text.find("\x1b[35mm.py:1 in f\x1b[0m") != std::string::npos);
  CHECK(text.find("\\x1b[31m") != std::string::npos);
}

TEST_CASE("what() is one line without control characters") {
  const Error error(raised({.type = "E", .message = "a\tb\nc\x1b[31m"}));
  CHECK(std::string(error.what()) == "module 'm' raised E: a b c\\x1b[31m");
}
