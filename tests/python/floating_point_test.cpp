// Python uses the default floating-point environment, and the application its own.
#include <doctest/doctest.h>

#include <cfenv>
#include <string>
#include <thread>
#ifdef __SSE__
#include <xmmintrin.h>
#endif

#include "support.hpp"

using namespace pyhost;
using test::evaluated;
using test::ModuleFolder;
using test::over_fixtures;

namespace {

// Restores the default environment at the end of a test case.
struct Restored {
  Restored() = default;
  ~Restored() { std::fesetenv(FE_DFL_ENV); }
  Restored(const Restored&) = delete;
  Restored& operator=(const Restored&) = delete;
};

volatile double tenth = 0.1;
volatile double three = 3;

double upward_third() { return 1 / three; }

// A module whose run() sets the rounding mode of the thread, and calls the service "third" if the state has
// "call".
constexpr const char* rounds_upward = R"(
import ctypes, pyhost

class Rounds:
    def __init__(self, state):
        self.state = state
    def run(self):
        ctypes.CDLL("libm.so.6").fesetround(self.state["to"])
        if self.state.get("call"):
            return [pyhost.services.third(), 1 / len("123")]  # Python itself computes 1 / 3 at the import
        return 0.1 + 0.2

def create(state):
    return Rounds(state)
)";

// Returns the options of a host that has the module `rounds`.
Options with_rounds(const ModuleFolder& modules) {
  modules.write("rounds.py", rounds_upward);
  return modules.options();
}

// Provides the service that the module `rounds` calls.
void provide_third(Host& host) {
  host.services().provide("third", [](const Json&) -> Json { return upward_third(); });
}

}  // namespace

TEST_CASE("a module neither uses the application's rounding mode nor changes it") {
  Host host(over_fixtures());
  const Restored at_end;
  const double nearest = upward_third();
  std::fesetround(FE_UPWARD);
  CHECK(host.run<std::string>("returns_state", R"({"x": 0.1})") == R"({"x":0.1})");
  CHECK(evaluated(host, "1 / 3") == nearest);
  CHECK(std::fegetround() == FE_UPWARD);
  CHECK(upward_third() > nearest);
}

TEST_CASE("the application's rounding mode stays when a module changes its own") {
  const ModuleFolder modules;
  Host host(with_rounds(modules));
  const Restored at_end;
  const double nearest = 0.1 + 0.2;
  CHECK(host.run("rounds", {{"to", FE_UPWARD}}) > Json(nearest - 1e-9));
  CHECK(std::fegetround() == FE_TONEAREST);
  CHECK(evaluated(host, "1 / 3") == 1.0 / 3);
  std::fesetround(FE_DOWNWARD);
  host.run("rounds", {{"to", FE_UPWARD}});
  CHECK(std::fegetround() == FE_DOWNWARD);
}

TEST_CASE("a module's rounding mode ends with its run in a pool") {
  const ModuleFolder modules;
  Host host(with_rounds(modules));
  Pool pool(host, {.workers = 1, .isolation = Isolation::Shared});
  auto first = pool.submit("rounds", Json{{"to", FE_UPWARD}});
  auto second = pool.submit("evaluates", Json{{"give", "1 / 3"}, {"first", ""}});
  first.get();
  CHECK(second.get() == 1.0 / 3);
}

TEST_CASE("a service uses the application's rounding mode, and the module its own again afterwards") {
  const ModuleFolder modules;
  Host host(with_rounds(modules));
  provide_third(host);
  const Restored at_end;
  const double nearest = upward_third();
  std::fesetround(FE_UPWARD);
  const double upward = upward_third();
  CHECK(host.run("rounds", {{"to", FE_TONEAREST}, {"call", true}}) == Json{upward, nearest});
  std::fesetround(FE_TONEAREST);
  CHECK(host.run("rounds", {{"to", FE_UPWARD}, {"call", true}}) == Json{nearest, upward});
}

TEST_CASE("a module may set the rounding mode that the application has") {
  const ModuleFolder modules;
  Host host(with_rounds(modules));
  provide_third(host);
  const Restored at_end;
  const double nearest = upward_third();
  std::fesetround(FE_UPWARD);
  const double upward = upward_third();
  host.run("rounds", {{"to", FE_UPWARD}});
  CHECK(std::fegetround() == FE_UPWARD);
  std::fesetround(FE_TONEAREST);
  CHECK(host.run("rounds", {{"to", FE_UPWARD}, {"call", true}}) == Json{nearest, upward});
}

TEST_CASE("traps of the application do not end the process in a module's calculation") {
  Host host(over_fixtures());
  const Restored at_end;
  constexpr int traps = FE_DIVBYZERO | FE_INVALID | FE_OVERFLOW;
  if (feenableexcept(traps) == -1) return;  // this processor has no traps
  CHECK(evaluated(host, "1e308 * 10 == float('inf')") == true);
  CHECK(evaluated(host, "str(float('inf') - float('inf'))") == "nan");
  CHECK(fegetexcept() == traps);
  CHECK(std::fetestexcept(FE_OVERFLOW) == 0);
}

#ifdef __SSE__
TEST_CASE("denormal numbers are kept in a module if the application flushes them to zero") {
  Host host(over_fixtures());
  const Restored at_end;
  constexpr unsigned flush_and_denormals_are_zero = 0x8040;
  _mm_setcsr(_mm_getcsr() | flush_and_denormals_are_zero);
  CHECK(host.run<std::string>("returns_state", R"({"x": 5e-324})") == R"({"x":5e-324})");
  CHECK((_mm_getcsr() & flush_and_denormals_are_zero) == flush_and_denormals_are_zero);
}
#endif
