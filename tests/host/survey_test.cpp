#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <set>
#include <thread>

#include "support.hpp"

using namespace pyhost;
using test::fixtures;
using test::over_fixtures;

namespace {

const ModuleInfo* find(const Survey& survey, std::string_view name) {
  const auto found = std::ranges::find(survey.modules, name, &ModuleInfo::name);
  return found == survey.modules.end() ? nullptr : &*found;
}

}  // namespace

TEST_CASE("a survey lists modules without running them") {
  Host host(over_fixtures());
  const Survey survey = host.survey();
  CHECK(survey.folders == std::vector<std::string>{(fixtures / "modules").string()});
  CHECK(survey.modules.size() >= 35);
  const ModuleInfo* counts = find(survey, "counts_imports");
  REQUIRE(counts != nullptr);
  CHECK(counts->file == (fixtures / "modules/counts_imports.py").string());
  CHECK(counts->doc == "Counts its imports in an environment variable of the process.");
  CHECK(counts->error() == nullptr);
  CHECK(find(survey, "package.part") != nullptr);
  const char* loaded = "sorted(n for n in __import__('sys').modules if n.startswith('modules.'))";
  CHECK(host.run("evaluates", {{"give", loaded}}) == Json{"modules.evaluates"});
}

TEST_CASE("a survey reports errors as plain data with code, file, line and column") {
  Host host(over_fixtures());
  const Survey survey = host.survey({"has_run_of_one_argument"});
  REQUIRE(survey.modules.size() == 1);
  const Diagnostic* error = survey.modules[0].error();
  REQUIRE(error != nullptr);
  CHECK(error->module == "has_run_of_one_argument");
  CHECK(error->file == (fixtures / "modules/has_run_of_one_argument.py").string());
  CHECK(error->line == 2);
  CHECK(error->column == 5);
  CHECK(error->code == "run-arguments");
  CHECK(error->severity == Severity::Error);
  CHECK(error->to_json()["severity"] == "error");
  CHECK(survey.modules[0].to_json()["error"] == error->to_json());
}

TEST_CASE("a survey with imports finds errors that the source does not show") {
  Host host(over_fixtures());
  const auto codes = [&](const char* name, Look look) {
    std::vector<std::string> found;
    const Survey survey = host.survey({name}, look);
    for (const Diagnostic& each : survey.modules.at(0).diagnostics) found.push_back(each.code);
    return found;
  };
  using Codes = std::vector<std::string>;
  CHECK(codes("imports_another", Look::Read) == Codes{"create-unseen"});
  CHECK(codes("imports_another", Look::Import) == Codes{});
  CHECK(codes("returns_state", Look::Import) == Codes{});
}

TEST_CASE("a survey of an invalid or unknown name fails as load does") {
  Host host(over_fixtures());
  REQUIRE_ERROR(bad, InvalidName, host.survey({"returns_state", "../x"}));
  REQUIRE_ERROR(missing, ModuleNotFound, host.survey({"retruns_state"}));
  CHECK_SAYS(missing, "did you mean 'returns_state'?");
  REQUIRE_ERROR(name, InvalidName, (check_module_name("class"), 0));
  CHECK_NOTHROW(check_module_name("reports.daily"));
}

TEST_CASE("any thread can survey, also while modules run") {
  Host host(over_fixtures());
  std::vector<std::thread> threads;
  std::atomic<int> right = 0;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      if (host.survey().modules.size() >= 35 && host.run("wins") == "second") ++right;
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(right == 4);
}

TEST_CASE("every code has a unique lower-case name and an explanation") {
  std::set<std::string_view> seen;
  for (const DiagnosticCode& code : diagnostic_codes()) {
    CHECK(seen.insert(code.code).second);
    CHECK(std::ranges::all_of(code.code, [](char c) { return c == '-' || (c >= 'a' && c <= 'z'); }));
    CHECK(code.meaning.ends_with('.'));
  }
}

TEST_CASE("Host::python_modules is the folder of the shipped modules") {
  CHECK(std::filesystem::equivalent(Host::python_modules(), PYHOST_SHIPPED));
}
