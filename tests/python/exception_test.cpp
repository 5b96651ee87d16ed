#include <doctest/doctest.h>

#include <chrono>
#include <thread>

#include "support.hpp"

using namespace pyhost;
using test::over_fixtures;

namespace {

// The error of a module that runs this code.
Error error_of_code(Host& host, const std::string& code) {
  const auto error = test::error_of([&] { return host.run("evaluates", {{"first", code}, {"give", "1"}}); });
  REQUIRE_MESSAGE(error.has_value(), code);
  CHECK(error->kind() == ErrorKind::ModuleRaised);
  // Each exception can be converted to JSON and to text, and the text is valid UTF-8.
  CHECK_NOTHROW(static_cast<void>(error->to_json().dump()));
  CHECK(std::string(error->what()).find('\n') == std::string::npos);
  CHECK(error->rendered().find('\x1b') == std::string::npos);
  CHECK(host.run("wins") == "second");
  return *error;
}

PythonException raised_by(Host& host, const std::string& code) {
  return error_of_code(host, code).exception();
}

}  // namespace

TEST_CASE("a __str__ that raises, exits, recurses or does not return a str is reported") {
  Host host(over_fixtures());
  const auto message_with = [&](const std::string& body) {
    return raised_by(host, "class E(Exception):\n def __str__(self):\n  " + body + "\nraise E()").message;
  };
  CHECK(message_with("raise RuntimeError") == "(no message: its __str__ raised RuntimeError)");
  CHECK(message_with("raise SystemExit(0)") == "(no message: its __str__ raised SystemExit)");
  CHECK(message_with("return str(self)") == "(no message: its __str__ raised RecursionError)");
  CHECK(message_with("return 42") == "(no message: its __str__ raised TypeError)");
  CHECK(message_with("raise self") == "(no message: its __str__ raised E)");
  CHECK(message_with("return type('S', (str,), {'__len__': lambda s: 10**9})('a subclass')") == "a subclass");
  CHECK(raised_by(host, "class A:\n def __str__(self): raise OSError\nraise ValueError(A())").message ==
        "(no message: its __str__ raised OSError)");
}

TEST_CASE("a __str__ that never returns is interrupted, and later ones are not called") {
  Host host(over_fixtures());
  const PythonException raised = raised_by(host,
                                           "class E(Exception):\n"
                                           " def __str__(self):\n"
                                           "  while True: pass\n"
                                           "raise E() from E()");
  CHECK(raised.message == "(no message: its __str__ did not return in time)");
  REQUIRE(raised.chain.size() == 1);
  CHECK(raised.chain[0].message == "(no message: the __str__ of another exception used up the time)");
  // The exception that interrupted it is not raised later.
  CHECK(host.run("evaluates", {{"give", "sum(range(10**5))"}}) == 4999950000);
}

TEST_CASE("a long message is cut, and every character of a message is kept") {
  Host host(over_fixtures());
  const Error huge = error_of_code(host, "raise ValueError('x' * 10**7)");
  CHECK(huge.message().size() < 70'000);
  CHECK_SAYS(huge, "(cut, 10000000 characters in all)");
  CHECK(huge.rendered().size() < 5'000);
  CHECK(huge.rendered({.verbose = true}).size() > 65'000);
  CHECK(raised_by(host, "raise ValueError('\\ud800\\x00\\x1b[31m')").message ==
        std::string("\\ud800\0\x1b[31m", 12));
  CHECK_SAYS(error_of_code(host, "raise ValueError('a\\0b')"), "ValueError: a\\x00b");
  CHECK(raised_by(host, "raise type('E' * 10**6, (Exception,), {})").type.size() < 2000);
}

TEST_CASE("an exception is named by its real type, even if the type lies about its name") {
  Host host(over_fixtures());
  CHECK(raised_by(host,
                  "class Lies(type):\n"
                  " __name__ = __module__ = property(lambda c: 1 / 0)\n"
                  " def __instancecheck__(c, o): raise OSError\n"
                  "class E(Exception, metaclass=Lies): pass\n"
                  "Lies.__getattribute__ = lambda c, n: 1 / 0\n"
                  "raise E('x')")
            .type.ends_with("E"));
  const PythonException changed = raised_by(host,
                                            "class Other(ValueError):\n"
                                            " args = __cause__ = __context__ = __traceback__ = __notes__ = "
                                            "__dict__ = property(lambda s: 1 / 0)\n"
                                            "class E(ValueError): pass\n"
                                            "e = E('x')\n"
                                            "e.__class__ = Other\n"
                                            "raise e");
  CHECK(changed.type.ends_with("Other"));
  CHECK(changed.message == "x");
}

TEST_CASE("cause and context are a flat chain, nearest first, and `from None` ends it") {
  Host host(over_fixtures());
  REQUIRE_ERROR(cause, ModuleRaised, host.run("raises_with_a_cause"));
  REQUIRE(cause.exception().chain.size() == 1);
  CHECK(cause.exception().chain[0].type == "KeyError");
  CHECK(cause.exception().chain[0].link == Link::Cause);
  CHECK(cause.exception().chain[0].frames.at(0).line == 7);
  CHECK_SAYS(cause, "; caused by KeyError: 'gold' (");
  REQUIRE_ERROR(context, ModuleRaised, host.run("raises_while_handling"));
  CHECK(context.exception().chain.at(0).type == "ValueError");
  CHECK(context.exception().chain.at(0).link == Link::Context);
  REQUIRE_ERROR(none, ModuleRaised, host.run("raises_from_none"));
  CHECK(none.exception().chain.empty());
}

TEST_CASE("a cycle of causes ends, and 2,000 causes are reduced to the first and the last") {
  Host host(over_fixtures());
  const PythonException ring =
      raised_by(host, "a, b = ValueError('a'), ValueError('b')\na.__cause__ = b\nb.__cause__ = a\nraise a");
  REQUIRE(ring.chain.size() == 1);
  CHECK(ring.chain[0].message == "b");
  const PythonException many = raised_by(host,
                                         "e = ValueError(0)\n"
                                         "for i in range(1, 2001):\n"
                                         " n = ValueError(i)\n"
                                         " n.__cause__, e = e, n\n"
                                         "raise e");
  REQUIRE(many.chain.size() == 20);
  CHECK(many.chain_left_out == 1980);
  CHECK(many.chain.front().message == "1999");
  CHECK(many.chain.back().message == "0");
}

TEST_CASE("an exception group keeps at most 20 members per group, 10 levels and 100 in all") {
  Host host(over_fixtures());
  REQUIRE_ERROR(group, ModuleRaised, host.run("raises_a_group"));
  REQUIRE(group.exception().members.size() == 2);
  CHECK(group.exception().members[0].message == "row 1");
  CHECK(group.exception().members[1].members.at(1).message == "[Errno 5] gone");

  const std::string group_class = "class G(Exception):\n def __init__(self, es): self.exceptions = es\n";
  const PythonException wide =
      raised_by(host, group_class + "raise G([ValueError(i) for i in range(100000)])");
  CHECK(wide.members.size() == 20);
  CHECK(wide.members_left_out == 99980);
  const PythonException deep =
      raised_by(host, group_class + "g = ValueError('innermost')\nfor i in range(1000): g = G([g])\nraise g");
  const PythonException* at = &deep;
  int depth = 0;
  for (; !at->members.empty(); ++depth) at = &at->members[0];
  CHECK(depth == 10);
  CHECK(at->members_left_out == 1);
  const PythonException broad = raised_by(
      host,
      group_class +
          "g = ValueError(1)\nfor i in range(5): g = G([G([g, ValueError(2)]) for i in range(9)])\nraise g");
  const auto count = [](const auto& self, const PythonException& of) -> int {
    int all = 1;
    for (const PythonException& member : of.members) all += self(self, member);
    return all;
  };
  CHECK(count(count, broad) > 50);
  CHECK(count(count, broad) <= 100);
}

TEST_CASE("notes are limited in number, and notes that are not text are described") {
  Host host(over_fixtures());
  const auto notes = [&](const std::string& value) {
    return raised_by(host, "e = ValueError()\ne.__notes__ = " + value + "\nraise e").notes;
  };
  CHECK(notes("['one', 'two']") == std::vector<std::string>{"one", "two"});
  CHECK(notes("[1, 'two']") == std::vector<std::string>{"(a note of type int)", "two"});
  CHECK(notes("'one'") == std::vector<std::string>{"(__notes__ is not a list but of type str)"});
  CHECK(notes("['n'] * 10**6").size() == 21);
  CHECK(notes("['n'] * 10**6").back() == "(999980 more notes are left out)");
}

TEST_CASE("recursion is folded, and a long traceback keeps both ends") {
  Host host(over_fixtures());
  REQUIRE_ERROR(deep, ModuleRaised, host.run("has_deep_error"));
  REQUIRE(deep.exception().frames.size() <= 2);
  CHECK(deep.exception().frames[0].repeated_frames == 1);
  CHECK(deep.exception().frames[0].repeated_times > 900);
  REQUIRE_ERROR(threes, ModuleRaised, host.run("recurses_in_threes"));
  const std::vector<Frame>& frames = threes.exception().frames;
  REQUIRE(frames.size() >= 4);
  CHECK(frames[3].repeated_frames == 3);
  CHECK(frames[3].repeated_times >= 39);
  const PythonException varied =
      raised_by(host,
                "names = {}\n"
                "for i in range(400): exec(f'def f{i}(): return f{i+1}()', names)\n"
                "names['f400'] = lambda: 1 / 0\n"
                "names['f0']()");
  CHECK(varied.frames.size() == 100);
  CHECK(varied.frames_left_out > 300);
  CHECK(varied.frames[99].function == "<lambda>");
}

TEST_CASE("an exception without a complete traceback is reported") {
  Host host(over_fixtures());
  CHECK(raised_by(host, "e = ValueError('x')\ne.__traceback__ = None\nraise e").message == "x");
  CHECK(raised_by(host, "raise ValueError('x') from KeyError('never raised')").chain.at(0).frames.empty());
}

TEST_CASE("a syntax error has its file, line and column, and invalid values in it are tolerated") {
  Host host(over_fixtures());
  REQUIRE_ERROR(error, ImportFailed, host.load("has_an_unclosed_bracket"));
  CHECK(error.place().line == 3);
  CHECK(error.place().column == 27);
  CHECK(error.place().source == R"(        return {"a": (1, 2})");
  for (const char* fields : {"'/dev/zero', 1, 1, 'x'", "'f', -5, 10**50, None", "5, 'a', [], {}",
                             "'f', 10**9, 10**9, 'x' * 10**6"}) {
    raised_by(host, std::string("raise SyntaxError('x', (") + fields + "))");
  }
  CHECK(raised_by(host, "exec('a = = 1')").frames.back().source == "a = = 1");
}

TEST_CASE("an error is usable on threads unknown to Python, and after its host is closed") {
  std::optional<Error> kept;
  {
    Host host(over_fixtures());
    kept = test::error_of([&] { return host.run("raises_with_a_cause"); });
  }
  REQUIRE(kept.has_value());
  std::string text;
  std::thread([error = *kept, &text]() mutable {
    const Error copy = error;
    text = copy.rendered() + copy.to_json().dump();
  }).join();
  kept.reset();
  CHECK(text.find("caused by KeyError: 'gold'") != std::string::npos);
}

TEST_CASE("the host's on_error sees an error before the caller does, and cannot change it") {
  std::vector<std::string> seen;
  std::thread::id on;
  Host* open = nullptr;
  Options options = over_fixtures();
  options.callbacks.on_error = [&](const Error& error) {
    seen.emplace_back(to_string(error.kind()));
    on = std::this_thread::get_id();
    // on_error is called without the GIL, so another thread can run modules, and so can this one.
    std::thread([&] { CHECK(open->run("wins") == "second"); }).join();
    static_cast<void>(open->run("raises_in_create"));  // not reported recursively; its exception is ignored
  };
  Host host(std::move(options));
  open = &host;
  REQUIRE_ERROR(raised, ModuleRaised, host.run("raises_with_a_cause"));
  CHECK(raised.module() == "raises_with_a_cause");
  CHECK(on == std::this_thread::get_id());
  REQUIRE_ERROR(import, ImportFailed, host.load("raises_in_import"));
  REQUIRE_ERROR(contract, BadContract, host.load("has_no_create"));
  REQUIRE_ERROR(result, InvalidResult, host.run("gives_a_set"));
  CHECK(seen == std::vector<std::string>{"ModuleRaised", "ImportFailed", "BadContract", "InvalidResult"});
  // These are not errors of a module.
  REQUIRE_ERROR(name, InvalidName, host.load("no name"));
  REQUIRE_ERROR(missing, ModuleNotFound, host.load("nowhere_to_be_found"));
  REQUIRE_ERROR(state, InvalidState, host.run("wins", "[1]"));
  CHECK(seen.size() == 4);
}

TEST_CASE("a module's on_error can add notes to its exception, and cannot suppress it") {
  Host host(over_fixtures());
  const auto after = [&](const char* then) {
    const auto error = test::error_of([&] { return host.run("has_on_error", {{"then", then}}); });
    REQUIRE(error.has_value());
    CHECK(error->message() == "module 'has_on_error' raised ValueError: bad row");
    CHECK(error->exception().frames.size() == 1);
    return error->exception().notes;
  };
  CHECK(after("return").empty());
  CHECK(after("note") == std::vector<std::string>{"row 7"});
  CHECK(after("raise it").empty());
  CHECK(after("raise") == std::vector<std::string>{"its on_error failed: OSError: disk full"});
  CHECK(after("exit") == std::vector<std::string>{"its on_error failed: SystemExit: 0"});
  REQUIRE_ERROR(number, ModuleRaised, host.run("has_on_error_that_is_a_number"));
  CHECK(number.exception().notes.at(0) == "its on_error failed: TypeError: 'int' object is not callable");
}

TEST_CASE("the errors of common mistakes have a hint") {
  Host host(over_fixtures());
  const auto hint = [&](const char* name) {
    const auto error = test::error_of([&] { return host.run(name); });
    REQUIRE(error.has_value());
    return error->hint();
  };
  CHECK(hint("is_python2").starts_with("this looks like Python 2: in Python 3 print is a function"));
  CHECK(hint("uses_python2_names") == "this looks like Python 2: 'xrange' is range in Python 3");
  CHECK(hint("imports_python2_modules") ==
        "this looks like Python 2: 'urllib2' is urllib.request in Python 3");
  CHECK(hint("imports_its_neighbour") ==
        "import the module beside it with `from modules import returns_state`");
  CHECK(hint("imports_a_misspelt_module") == "did you mean 'returns_state'?");
  CHECK(hint("imports_a_missing_module").empty());
  CHECK(hint("exits_in_import").starts_with("a module cannot end its host"));
  CHECK(hint("imports_what_is_missing").starts_with("'no_such_package_anywhere' is not installed in /"));
  CHECK(hint("imports_what_is_missing").find("-m pip install no_such_package_anywhere") != std::string::npos);
  CHECK(hint("raises_in_create").empty());
}
