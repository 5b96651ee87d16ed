// Helpers for the doctest files: a host over the fixtures, temporary modules, and checks of errors.
#pragma once

#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <optional>
#include <pyhost/pyhost.hpp>
#include <string>
#include <thread>
#include <vector>

namespace pyhost::test {

inline const std::filesystem::path fixtures = PYHOST_FIXTURES;

inline Options over_fixtures() { return {.module_paths = {fixtures}}; }

/// A temporary module path for modules that the test writes. The destructor removes it.
class ModuleFolder {
 public:
  ModuleFolder() { std::filesystem::create_directories(path_ / "modules"); }
  ~ModuleFolder() { std::filesystem::remove_all(path_); }
  ModuleFolder(const ModuleFolder&) = delete;
  ModuleFolder& operator=(const ModuleFolder&) = delete;

  /// Writes modules/<file>.
  void write(const std::string& file, const std::string& source) const {
    std::filesystem::create_directories((path_ / "modules" / file).parent_path());
    std::ofstream(path_ / "modules" / file) << source;
  }

  /// Options whose module paths are this folder and the fixtures.
  Options options() const { return {.module_paths = {path_, fixtures}}; }
  const std::filesystem::path& path() const { return path_; }

 private:
  static std::filesystem::path next_path() {
    static int last = 0;
    const std::string name = "pyhost-modules-" + std::to_string(getpid()) + "-" + std::to_string(++last);
    return std::filesystem::temp_directory_path() / name;
  }
  std::filesystem::path path_ = next_path();
};

/// Returns the error that the action throws, or nothing if it does not throw.
template <class Action>
std::optional<Error> error_of(Action action) {
  try {
    static_cast<void>(action());
  } catch (const Error& error) {
    return error;
  }
  return std::nullopt;
}

/// Longer than any wait of a test takes, even on a busy machine.
inline constexpr std::chrono::minutes patience(10);

/// Waits until the condition holds. Returns false if it does not hold in time.
template <class Condition>
bool eventually(Condition condition) {
  const auto until = std::chrono::steady_clock::now() + patience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

/// Runs the statements `first` in Python, and returns the value of the expression `give`.
inline Json evaluated(Host& host, const std::string& give, const std::string& first = {}) {
  return host.run("evaluates", {{"give", give}, {"first", first}});
}

/// Returns the notes of fixture modules in sys.told, and clears the list.
inline std::vector<std::string> told(Host& host) {
  return evaluated(host, "told", "import sys; told = list(getattr(sys, 'told', [])); sys.told = []");
}

}  // namespace pyhost::test

// Requires that the expression throws an Error of the kind `wanted`, and declares it as `name`.
#define REQUIRE_ERROR(name, wanted, ...)                                          \
  const auto name##_thrown = pyhost::test::error_of([&] { return __VA_ARGS__; }); \
  REQUIRE(name##_thrown.has_value());                                             \
  const pyhost::Error& name = *name##_thrown;                                     \
  INFO(name.what());                                                              \
  REQUIRE(to_string(name.kind()) == to_string(pyhost::ErrorKind::wanted))

#define CHECK_SAYS(error, part) \
  CHECK_MESSAGE(std::string((error).what()).find(part) != std::string::npos, (error).what())
