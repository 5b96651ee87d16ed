#include <doctest/doctest.h>

#include <filesystem>

#include "support.hpp"

using namespace pyhost;
using test::fixtures;
using test::over_fixtures;

namespace {

const std::filesystem::path first = fixtures / "first_path";

}  // namespace

TEST_CASE("modules is one namespace over all module paths, and the first path with a name wins") {
  {
    Host host({.module_paths = {first, fixtures}});
    CHECK(host.run("wins") == "first");
    CHECK(host.run("imports_across", {{"a", 1}}) == Json{{"a", 1}});
  }
  Host host({.module_paths = {fixtures, first}});
  CHECK(host.run("wins") == "second");
}

TEST_CASE("a json.py beside the modules or in the current directory does not shadow the standard library's") {
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(fixtures);
  {
    Host host;
    const Json result = host.run("imports_json");
    CHECK(result[0].get<std::string>().ends_with("/json/__init__.py"));
    CHECK(result[1] == Json{1});
  }
  std::filesystem::current_path(before);
}

TEST_CASE("a package named modules in site-packages does not hide the module paths") {
  Host host(over_fixtures());
  const std::string plant =
      "import sys, tempfile, os, site\n"
      "folder = tempfile.mkdtemp()\n"
      "os.mkdir(folder + '/modules')\n"
      "open(folder + '/modules/__init__.py', 'w').write('raise RuntimeError(1)')\n"
      "site.addsitedir(folder)\n"
      "sys.modules.pop('modules')\n";
  CHECK(host.run("evaluates", {{"give", "__import__('modules').__path__"}, {"first", plant}}) ==
        Json{(fixtures / "modules").string()});
  CHECK(host.run("wins") == "second");
}

TEST_CASE("modules import each other, absolutely and relatively") {
  Host host(over_fixtures());
  CHECK(host.run("imports_another", {{"a", 1}}) == Json{{"a", 1}});
  CHECK(host.run("package") == Json{3, "modules.package.part", "modules.returns_state"});
  CHECK(host.run("package.part") == "part");
}

TEST_CASE("an invalid module path is refused with a hint before Python starts") {
  const auto refused = [](const std::filesystem::path& path, const char* message) {
    REQUIRE_ERROR(error, StartupFailed, [&] { return Host({.module_paths = {path}}).run("wins"); }());
    CHECK_SAYS(error, message);
    CHECK_SAYS(error, path.string());
  };
  refused("no/such/folder", "does not exist");
  refused(fixtures / "json.py", "is not a folder");
  refused(fixtures / "modules" / "package", "does not contain a folder 'modules'");
  refused(fixtures / "modules", "use its parent folder");
}

TEST_CASE("a change to modules.__path__ or sys.path does not affect the next load") {
  Host host(over_fixtures());
  CHECK(host.run("evaluates",
                 {{"give", "1"}, {"first", "import modules; modules.__path__ = ['/nonexistent']"}}) == 1);
  CHECK(host.run("wins") == "second");
  CHECK(host.run("evaluates", {{"give", "1"},
                               {"first", "import sys; del sys.modules['modules']; sys.path.clear()"}}) == 1);
  CHECK(host.run("gets_its_run_late") == "late");
}

TEST_CASE("a closed host leaves nothing of its modules in Python") {
  {
    CHECK(Host(over_fixtures()).run("wins") == "second");
  }
  Host host(over_fixtures());
  CHECK(host.run("evaluates",
                 {{"give", "sorted(n for n in __import__('sys').modules if n.startswith('modules'))"}}) ==
        Json{"modules", "modules.evaluates"});
  CHECK(host.run("evaluates", {{"give", "[p for p in __import__('sys').path if 'module-path' in p]"}}) ==
        Json{"pyhost-module-path:" + fixtures.string()});
}
