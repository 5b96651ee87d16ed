// Holds the fast reader against the strict one, and what is written against what was read.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

#include "convert/convert.hpp"
#include "convert/fast_parser.hpp"
#include "convert/strict_parser.hpp"
#include "pyhost/pyhost.hpp"
#include "python/gil.hpp"

namespace {

using namespace pyhost;
using namespace pyhost::detail;

[[noreturn]] void stop(const char* what, std::string_view text) {
  std::fprintf(stderr, "%s: %.*s\n", what, static_cast<int>(text.size()), text.data());
  std::abort();
}

template <class Action>
auto unless_refused(Action action) -> std::optional<decltype(action())> {
  try {
    return action();
  } catch (const Error&) {
    return std::nullopt;
  }
}

// Types, order of keys and each bit of a float show in it.
std::string shown(const py::object& object) {
  const py::object repr = steal(PyObject_Repr(object.ptr()));
  if (!repr) {
    PyErr_Clear();  // an integer of too many digits, or too many levels
    return {};
  }
  const py::object bytes = steal(PyUnicode_AsEncodedString(repr.ptr(), "utf-8", "strict"));
  return {PyBytes_AS_STRING(bytes.ptr()), static_cast<std::size_t>(PyBytes_GET_SIZE(bytes.ptr()))};
}

void check(std::string_view text) {
  static KeyCache keys;
  static FastParser reader;
  static Conversions conversions;
  const py::object fast = reader.parse(text, keys);
  if (PyErr_Occurred() != nullptr) stop("the fast reader left an error set", text);
  const std::optional<py::object> strict = unless_refused([&] { return parse_strictly(text); });
  if (fast && !strict) stop("the fast reader takes what the strict one refuses", text);
  if (fast && shown(fast) != shown(*strict)) stop("the readers differ", text);
  const std::optional<py::object> state = unless_refused([&] { return conversions.to_python(text); });
  if (state.has_value() != (strict.has_value() && PyDict_CheckExact(strict->ptr()))) {
    stop("a verdict differs", text);
  }
  if (!state) return;
  if (shown(*state) != shown(*strict)) stop("a state differs", text);

  const std::optional<std::string> written =
      unless_refused([&] { return conversions.to_text(state->ptr()); });
  if (!written) stop("a state cannot be written", text);
  if (shown(parse_strictly(*written)) != shown(*state)) stop("what is written reads otherwise", text);
  const std::optional<Json> json = unless_refused([&] { return conversions.to_json(state->ptr()); });
  if (!json) return;  // an integer beyond 64 bits
  const py::object equal = conversions.to_python(*json);
  if (PyObject_RichCompareBool(equal.ptr(), state->ptr(), Py_EQ) != 1) stop("a Json differs", text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto* host = new Host({.module_paths = {PYHOST_FIXTURES}});
  static_cast<void>(host);
  const GilAcquire gil;
  // In memory of its own, so that a read beyond the end is found.
  const std::string text(reinterpret_cast<const char*>(data), size);
  check({data == nullptr ? "" : reinterpret_cast<const char*>(data), size});
  check("{\"a\":" + text + "}");
  return 0;
}
