// What the doctest files share: a host over the fixtures, and the error that an action throws.
#pragma once

#include <optional>
#include <pyhost/pyhost.hpp>
#include <string>
#include <vector>

namespace pyhost::test {

inline const std::filesystem::path fixtures = PYHOST_FIXTURES;

inline Options over_fixtures() { return {.module_paths = {fixtures}}; }

/// The error that the action throws; nothing if it throws none.
template <class Action>
std::optional<Error> error_of(Action action) {
  try {
    static_cast<void>(action());
  } catch (const Error& error) {
    return error;
  }
  return std::nullopt;
}

/// What the expression is worth in Python once the statements have been run.
inline Json evaluated(Host& host, const std::string& give, const std::string& first = {}) {
  return host.run("evaluates", {{"give", give}, {"first", first}});
}

/// What modules have noted in sys.told, which is empty then.
inline std::vector<std::string> told(Host& host) {
  return evaluated(host, "told", "import sys; told = list(getattr(sys, 'told', [])); sys.told = []");
}

}  // namespace pyhost::test

// Checks the kind and hands the error on, or ends the test case here.
#define REQUIRE_ERROR(name, wanted, ...)                                          \
  const auto name##_thrown = pyhost::test::error_of([&] { return __VA_ARGS__; }); \
  REQUIRE(name##_thrown.has_value());                                             \
  const pyhost::Error& name = *name##_thrown;                                     \
  INFO(name.what());                                                              \
  REQUIRE(to_string(name.kind()) == to_string(pyhost::ErrorKind::wanted))

#define CHECK_SAYS(error, part) \
  CHECK_MESSAGE(std::string((error).what()).find(part) != std::string::npos, (error).what())
