#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "support.hpp"

using namespace pyhost;
using test::over_fixtures;

namespace {

std::string nested(int levels) {
  return R"({"a":)" + std::string(static_cast<std::size_t>(levels - 1), '[') +
         std::string(static_cast<std::size_t>(levels - 1), ']') + "}";
}

// The value that a module sees for this JSON text.
std::string seen(Host& host, const std::string& text) {
  return host.run("evaluates", R"({"see":)" + text + "}").get<std::string>();
}

// The value of a Python expression as JSON text.
std::string given(Host& host, const std::string& expression, const std::string& first = "") {
  return host.run<std::string>("evaluates", Json{{"give", expression}, {"first", first}});
}

std::string in_hex(const std::string& text) {
  std::string hex;
  for (const char c : text) {
    for (const unsigned digit : {static_cast<unsigned char>(c) / 16U, static_cast<unsigned char>(c) % 16U})
      hex += "0123456789abcdef"[digit];
  }
  return hex;
}

}  // namespace

TEST_CASE("a state from text equals what Python's json.loads returns") {
  Host host(over_fixtures());
  const std::vector<std::pair<std::string, std::string>> cases{
      {"null", "None"},
      {"true", "True"},
      {"false", "False"},
      {"0", "0"},
      {"-0", "0"},
      {"-0.0", "-0.0"},
      {"9223372036854775807", "9223372036854775807"},
      {"18446744073709551616", "18446744073709551616"},
      {"-9223372036854775809", "-9223372036854775809"},
      {"1.0", "1.0"},
      {"1e3", "1000.0"},
      {"1E+2", "100.0"},
      {"0.1", "0.1"},
      {"1e-400", "0.0"},
      {"2.5e-324", "5e-324"},
      {R"("")", "''"},
      {R"("a\u0000b")", R"('a\x00b')"},
      {R"("\"\\\/\b\f\n\r\t")", R"('"\\/\x08\x0c\n\r\t')"},
      {R"("\u00e9\u20ac\ud83d\ude00")", "'é€😀'"},
      {R"("é€😀")", "'é€😀'"},
      {R"("plain and \u0041 escaped")", "'plain and A escaped'"},
      {"[]", "[]"},
      {" [ 1 , [ 2 ] , { } ] ", "[1, [2], {}]"},
      {R"({"b":1,"a":2,"b":3})", "{'b': 3, 'a': 2}"},
      {R"({"":0})", "{'': 0}"},
  };
  for (const auto& [text, repr] : cases) {
    CAPTURE(text);
    CHECK(seen(host, text) == repr);
  }
  const std::string digits(400, '7');
  CHECK(seen(host, digits) == digits);
}

TEST_CASE("a state that is not JSON is refused with line and column") {
  Host host(over_fixtures());
  const Module module = host.load("returns_state");
  const std::vector<std::pair<std::string, std::string>> cases{
      {"", "line 1, column 1: found the end of the text instead of a value"},
      {"{", "the end of the text instead of a key"},
      {R"({"a")", "the end of the text instead of ':'"},
      {R"({"a":1)", "the end of the text instead of ',' or '}'"},
      {"{\n  \"a\": 1,\n}", "line 3, column 1: found '}' instead of a key in double quotes"},
      {"{'a': 1}", "column 2: found ''' instead of a key"},
      {R"({"a":NaN})", "column 6: found 'N' instead of a value"},
      {R"({"a":-Infinity})", "found '-' instead of a value"},
      {R"({"a":01})", "found '1' instead of ',' or '}'"},
      {R"({"a":1.})", "instead of a digit"},
      {R"({"a":.5})", "found '.' instead of a value"},
      {R"({"a":+1})", "found '+' instead of a value"},
      {R"({"a":1e})", "instead of a digit"},
      {R"({"a":tru})", "instead of a value"},
      {R"({"a":[1,]})", "found ']' instead of a value"},
      {R"({"a":[1 2]})", "found '2' instead of ',' or ']'"},
      {R"({} {})", "more text after the value"},
      {"{\"a\":\"\n\"}", "a control character inside a string"},
      {R"({"a":"\x41"})", "an escape that JSON does not have"},
      {R"({"a":"\u12g4"})", "an escape that JSON does not have"},
      {R"({"a":"\u+123"})", "an escape that JSON does not have"},
      {R"({"a":"\u12)", "an escape that JSON does not have"},
      {R"({"a":"\ud800"})", "half of a surrogate pair"},
      {R"({"a":"\udc00"})", "half of a surrogate pair"},
      {R"({"a":"\ud800\u0041"})", "half of a surrogate pair"},
      {R"({"a":"\ud800x"})", "half of a surrogate pair"},
      {"{\"a\":\"never closed", "the end of the text inside a string"},
      {"{\"a\":\"\\", "the end of the text inside a string"},
      {"{\"a\":\xff}", "a byte that is not UTF-8 instead of a value"},
      {"{\"a\":\xc3\xa9}", "found 'é' instead of a value"},
      {"\xef\xbb\xbf{}", "a byte order mark"},
  };
  for (const auto& [text, message] : cases) {
    CAPTURE(text);
    REQUIRE_ERROR(error, InvalidState, module.create(text));
    CHECK_SAYS(error, message);
    CHECK_SAYS(error, "returns_state");
    CHECK(error.module() == "returns_state");
  }
}

TEST_CASE("a state that has no exact form in Python is refused with its JSON pointer") {
  Host host(over_fixtures());
  const Module module = host.load("returns_state");
  const auto refused = [&](const auto& state, const std::string& pointer, const std::string& message) {
    REQUIRE_ERROR(error, InvalidState, module.create(state));
    CHECK(error.pointer() == pointer);
    CHECK_SAYS(error, message);
  };
  refused(R"({"a":[0,1e400]})", "/a/1", "beyond the range of a float");
  refused("{\"a\":{\"b/c~\":\"\xff\"}}", "/a/b~1c~0", "not valid UTF-8");
  refused("{\"a\":\"\xed\xa0\x80\"}", "/a", "not valid UTF-8");
  refused(Json{{"a", {1, NAN}}}, "/a/1", "NaN or infinite");
  refused(Json{{"a", -INFINITY}}, "/a", "NaN or infinite");
  refused(Json{{"a", "\xff"}}, "/a", "not valid UTF-8");
  refused(Json{{"a", Json::binary({1, 2})}}, "/a", "binary");
}

TEST_CASE("an integer with more digits than Python's limit is refused with its JSON pointer") {
  Host host(over_fixtures());
  if (host.run("evaluates", {{"give", "hasattr(__import__('sys'), 'get_int_max_str_digits')"}}) != true)
    return;
  REQUIRE_ERROR(error, InvalidState, host.run("returns_state", R"({"a":)" + std::string(10000, '9') + "}"));
  CHECK(error.pointer() == "/a");
  CHECK_SAYS(error, "4300");
}

TEST_CASE("a state that is not an object is refused") {
  Host host(over_fixtures());
  const Module module = host.load("returns_state");
  for (const char* text : {"[]", "1", "1.5", "\"x\"", "null", "true"}) {
    CAPTURE(text);
    REQUIRE_ERROR(error, InvalidState, module.create(text));
    CHECK_SAYS(error, "not an object");
  }
  for (const Json& json : {Json::array(), Json(1), Json("{}"), Json(true), Json(1.5)}) {
    CAPTURE(json);
    REQUIRE_ERROR(error, InvalidState, module.create(json));
    CHECK_SAYS(error, "not an object");
  }
}

TEST_CASE("text, an initializer list and a Json are each accepted as a state") {
  Host host(over_fixtures());
  const Module module = host.load("returns_state");
  CHECK(module.create().run<std::string>() == "{}");
  CHECK(module.create({}).run<std::string>() == "{}");
  CHECK(module.create("{}").run<std::string>() == "{}");
  CHECK(module.create(std::string(R"({"a":1})")).run<std::string>() == R"({"a":1})");
  CHECK(module.create(std::string_view(R"({"a":1})")).run<std::string>() == R"({"a":1})");
  CHECK(module.create({{"a", 1}}).run<std::string>() == R"({"a":1})");
  CHECK(module.create(Json{{"a", 1}}).run<std::string>() == R"({"a":1})");
  CHECK(host.run("returns_state", {{"who", "Ada"}}) == Json{{"who", "Ada"}});
  CHECK(host.run("returns_state", R"({"who":"Ada"})") == Json{{"who", "Ada"}});
  CHECK(host.run<std::string>("returns_state", {{"who", "Ada"}}) == R"({"who":"Ada"})");
}

TEST_CASE("a Json is returned unchanged") {
  Host host(over_fixtures());
  const Json state{
      {"null", nullptr},
      {"bool", {true, false}},
      {"int", {0, -1, std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max()}},
      {"unsigned", std::numeric_limits<std::uint64_t>::max()},
      {"float", {0.1, -0.0, 1e300, 5e-324, 1.0}},
      {"text", {"", "é€😀", std::string("a\0b", 3), "\"\\\n"}},
      {"nested", {{"empty array", Json::array()}, {"empty object", Json::object()}}}};
  const Json back = host.run("returns_state", state);
  CHECK(back == state);
  CHECK(back["float"][4].is_number_float());
  CHECK(Json::parse(host.run<std::string>("returns_state", state)) == state);
}

TEST_CASE("keys that differ in one character are different, however often they are used") {
  Host host(over_fixtures());
  Json state = Json::object();
  for (const std::size_t size : {1U, 2U, 3U, 4U, 5U, 7U, 8U, 9U, 15U, 16U, 17U, 24U, 31U, 63U, 64U, 65U}) {
    for (std::size_t at = 0; at <= size; ++at) {
      std::string key(size, 'a');
      if (at < size) key[at] = 'b';
      state[key] = {{key, state.size()}};
    }
  }
  const std::string text = state.dump();
  for (int i = 0; i < 3; ++i) {
    CHECK(host.run("returns_state", state) == state);
    CHECK(host.run("returns_state", text) == state);
  }
}

TEST_CASE("JSON text is returned unchanged, with the order of keys and integers of any size") {
  Host host(over_fixtures());
  const std::string text =
      R"({"z":)" + std::string(400, '7') +
      R"(,"a":[1.0,-0.0,1e+16,1e-05,123456.789],"text":"é \" \\ \n \u0000 \u001f \u007f 😀 /","n":null,"e":{},"l":[]})";
  const std::string written = host.run<std::string>("returns_state", text);
  std::string expected = text;
  expected.replace(expected.find("\\u007f"), 6, "\x7f");
  CHECK(written == expected);
}

TEST_CASE("1,000 levels are accepted and 1,001 are refused, in every direction") {
  Host host(over_fixtures());
  const Module module = host.load("returns_state");
  const std::string fits = nested(1000);
  CHECK(module.create(fits).run<std::string>() == fits);
  CHECK(module.create(Json::parse(fits)).run().dump() == fits);

  for (const int levels : {1001, 100000}) {
    const std::string deep = nested(levels);
    REQUIRE_ERROR(from_text, InvalidState, module.create(deep));
    CHECK_SAYS(from_text, "more than 1000 levels");
    REQUIRE_ERROR(from_json, InvalidState, module.create(Json::parse(deep)));
    CHECK_SAYS(from_json, "more than 1000 levels");
    CHECK(std::string(from_json.what()).size() < 500);
  }
  const std::string build = "deep = []\nfor i in range(1000): deep = [deep]";
  REQUIRE_ERROR(to_text, InvalidResult, given(host, "deep", build));
  CHECK_SAYS(to_text, "more than 1000 levels");
  REQUIRE_ERROR(to_json, InvalidResult, host.run("evaluates", {{"give", "deep"}, {"first", build}}));
  CHECK_SAYS(to_json, "more than 1000 levels");
  CHECK(given(host, "deep[0]", build) == std::string(1000, '[') + std::string(1000, ']'));
}

TEST_CASE("a result that is not JSON is refused with its JSON pointer and a hint") {
  Host host(over_fixtures());
  const std::vector<std::array<std::string, 4>> cases{
      {"float('nan')", "", "", "NaN or infinite"},
      {"{'a': [0, float('inf')]}", "", "/a/1", "NaN or infinite"},
      {"b'x'", "", "", "bytes"},
      {"[1, {2}]", "", "/1", "convert it to a list"},
      {"{'a/b': {'~': set()}}", "", "/a~1b/~0", "set"},
      {"{'a': {1: 2}}", "", "/a", "a key that is int, not str"},
      {"{None: 2}", "", "", "a key that is NoneType, not str"},
      {"{1: 'a', '1': 'b'}", "", "", "a key that is int"},
      {"'\\ud800'", "", "", "lone surrogate"},
      {"{'\\ud800': 1}", "", "", "lone surrogate"},
      {"datetime.date(2020, 1, 1)", "", "", "isoformat"},
      {"decimal.Decimal('1.5')", "", "", "decimal.Decimal"},
      {"object()", "", "", "object"},
      {"[(i for i in [1])]", "", "/0", "generator"},
      {"1j", "", "", "complex"},
      {"x", "x = []; x.append(x)", std::string(), "contains itself"},
      {"x", "x = {}; x['x'] = [x]", std::string(), "contains itself"},
      {"T()", "class M(type):\n  __name__ = property(lambda c: 1 / 0)\nclass T(metaclass=M): pass", "",
       "type T"},
  };
  for (const auto& [give, first, pointer, message] : cases) {
    CAPTURE(give);
    CAPTURE(first);
    REQUIRE_ERROR(as_text, InvalidResult, given(host, give, first));
    REQUIRE_ERROR(as_json, InvalidResult, host.run("evaluates", {{"give", give}, {"first", first}}));
    for (const Error& error : {as_text, as_json}) {
      CHECK_SAYS(error, message);
      CHECK(error.phase() == Phase::Result);
      if (message != "contains itself") CHECK(error.pointer() == pointer);
    }
  }
}

TEST_CASE("an integer beyond 64 bits is exact in text and refused in a Json") {
  Host host(over_fixtures());
  CHECK(given(host, "2**64") == "18446744073709551616");
  CHECK(given(host, "-2**63") == "-9223372036854775808");
  CHECK(given(host, "-10**399") == "-1" + std::string(399, '0'));
  CHECK(host.run("evaluates", {{"give", "2**64 - 1"}}) == std::numeric_limits<std::uint64_t>::max());
  for (const char* large : {"2**64", "-2**63 - 1", "10**30"}) {
    REQUIRE_ERROR(error, InvalidResult, host.run("evaluates", {{"give", std::string("[") + large + "]"}}));
    CHECK(error.pointer() == "/0");
    CHECK_SAYS(error, "run<std::string>()");
  }
}

TEST_CASE("methods that a subclass overrides are not called in a conversion") {
  Host host(over_fixtures());
  const std::string evil =
      "class S(str):\n"
      "  def __str__(self): raise RuntimeError\n"
      "  def encode(self, *a): raise RuntimeError\n"
      "  def __len__(self): return 10**9\n"
      "class D(dict):\n"
      "  def items(self): raise RuntimeError\n"
      "  def __iter__(self): raise RuntimeError\n"
      "class L(list):\n"
      "  def __iter__(self): raise RuntimeError\n"
      "  def __len__(self): return 10**9\n"
      "class I(int):\n"
      "  def __repr__(self): return 'no number'\n"
      "  def __index__(self): raise RuntimeError\n"
      "class F(float):\n"
      "  def __repr__(self): return 'no number'\n"
      "class Colour(enum.IntEnum): red = 3\n"
      "Point = collections.namedtuple('Point', 'x y')\n";
  CHECK(given(host, "D(a=L([S('ok'), I(1), I(10**30), F(1.5), True, Colour.red, Point(1, 2)]))", evil) ==
        R"({"a":["ok",1,1000000000000000000000000000000,1.5,true,3,[1,2]]})");
}

TEST_CASE("results of different sizes are written whole, one after the other") {
  Host host(over_fixtures());
  for (const int size : {10, 1'000'000, 20'000, 3, 2'000'000, 2'100'000, 16'000}) {
    CAPTURE(size);
    std::string expected = "[";
    for (int i = 0; i < size; i += 2) expected += "7,";
    expected.back() = ']';
    CHECK(given(host, "[7] * " + std::to_string((size + 1) / 2)) == expected);
  }
}

TEST_CASE("strings of each width are written as by json.dumps, with special characters at each offset") {
  Host host(over_fixtures());
  for (const std::string filler : {"a", "é", "я", "日", "😀"}) {
    CAPTURE(filler);
    const std::string strings =
        "[S(f * before + s + f * after) for S in (str, type('S', (str,), {})) for f in ('" + filler + R"(',)
            for s in ('', 'a', '"', '\\', '\n', '\0', '\x1f', '\x7f', 'é', 'яя', '日日', '耀', '😀', '"日é\t')
            for before in (*range(35), *range(235, 260), *range(1015, 1034)) for after in (0, 5, 20)])";
    const std::string expected =
        given(host, "json.dumps(" + strings + ", ensure_ascii=False, separators=(',', ':')).encode().hex()",
              "import json");
    const std::string text = given(host, strings);
    CHECK_MESSAGE('"' + in_hex(text) + '"' == expected, "the texts differ");
    const Json tree = host.run("evaluates", {{"give", strings}});
    CHECK_MESSAGE(tree == Json::parse(text), "the Json differs");
  }
}

TEST_CASE("a dict becomes a sorted Json, in which the last of several equal keys counts") {
  Host host(over_fixtures());
  const std::string keys =
      "class K(str):\n"
      "  __eq__ = lambda self, other: self is other\n"
      "  __hash__ = lambda self: id(self)\n";
  const std::string dict =
      "{K('b'): [1], 'a': 'x' * 40, K('d'): 1.5, K('b'): {'c': 2}, 'c': None, '': True, K('d'): None,"
      " 'é' * 20: 2**64 - 1, K('c'): 7, 'B': []}";
  const Json expected{{"", true},
                      {"B", Json::array()},
                      {"a", std::string(40, 'x')},
                      {"b", {{"c", 2}}},
                      {"c", 7},
                      {"d", nullptr},
                      {"éééééééééééééééééééé", std::numeric_limits<std::uint64_t>::max()}};
  CHECK(host.run("evaluates", Json{{"give", dict}, {"first", keys}}) == expected);
  const Json numbered = host.run("evaluates", Json{{"give", "{str(i * 37 % 101): i for i in range(101)}"}});
  CHECK(numbered.size() == 101);
  for (int i = 0; i < 101; ++i) CHECK(numbered[std::to_string(i * 37 % 101)] == i);
}

TEST_CASE("floats are written as Python writes them, with a point or an exponent") {
  Host host(over_fixtures());
  CHECK(
      given(host,
            "[1.0, 1e22, 1e16, 123456789012345.0, 0.0001, 0.00001, 5e-324, 1.7976931348623157e308, -0.0]") ==
      "[1.0,1e+22,1e+16,123456789012345.0,0.0001,1e-05,5e-324,1.7976931348623157e+308,-0.0]");
}
