#include <doctest/doctest.h>

#include <filesystem>
#include <string>

#include "support.hpp"

using namespace pyhost;
using test::ModuleFolder;

namespace {

// All versions of a file have the same length and time, so that Python's bytecode cache cannot tell them
// apart.
void write(const ModuleFolder& folder, const std::string& file, const std::string& source) {
  static const auto time = std::filesystem::file_time_type::clock::now() - std::chrono::hours(1);
  folder.write(file, source);
  std::filesystem::last_write_time(folder.path() / "modules" / file, time);
}

std::string module(const std::string& imports, const std::string& result,
                   const std::string& in_run = "pass") {
  return imports + "\nclass Module:\n    def run(self):\n        " + in_run + "\n        return " + result +
         "\ndef create(state): return Module()\n";
}

std::string value(int is) { return "value = " + std::to_string(is) + "\n"; }

// Changes the file six times. Loads, runs and unloads the module after each change.
void check_fresh(Host& host, const ModuleFolder& folder, const std::string& file,
                 const std::string& name = "a") {
  for (int i = 1; i <= 6; ++i) {
    write(folder, file, value(i));
    CHECK(host.run(name) == i);
    CHECK(host.unload(name));
  }
}

const std::string counter = "count = 0\ndef up():\n    global count\n    count += 1\n    return count\n";

}  // namespace

TEST_CASE("a module that is loaded again imports its helpers again, however it names them") {
  const auto check = [](const std::string& file, const std::string& imports, const std::string& result) {
    CAPTURE(imports);
    for (const bool in_run : {false, true}) {
      const ModuleFolder folder;
      write(folder, "a.py", in_run ? module("", result, imports) : module(imports, result));
      Host host(folder.options());
      check_fresh(host, folder, file);
    }
  };
  check("helper.py", "from modules.helper import value", "value");
  check("helper.py", "import modules.helper", "modules.helper.value");
  check("helper.py", "import modules.helper as h", "h.value");
  check("helper.py", "from modules import helper", "helper.value");
  check("helper.py", "from . import helper", "helper.value");
  check("helper.py", "from .helper import value", "value");
  check("grüße.py", "from modules import grüße", "grüße.value");
  check("folder/helper.py", "from modules.folder import helper", "helper.value");
  check("folder/helper.py", "import modules.folder.helper", "modules.folder.helper.value");
}

TEST_CASE("a module that is loaded again imports the parts of its package again") {
  const ModuleFolder folder;
  write(folder, "a/__init__.py", module("from .deep.part import value", "value"));
  write(folder, "a/deep/__init__.py", "");
  write(folder, "b.py",
        module("import importlib; part = importlib.import_module('modules.' + 'c.part')", "part.value"));
  write(folder, "c/__init__.py", "");
  Host host(folder.options());
  check_fresh(host, folder, "a/deep/part.py");
  check_fresh(host, folder, "c/part.py", "b");
}

TEST_CASE("a module that is loaded again imports the helpers of its helpers again") {
  const ModuleFolder folder;
  write(folder, "a.py", module("", "value", "from modules.first import value"));
  write(folder, "first.py", "from .second import *\nimport modules.a\n");
  write(folder, "second.py", "from . import third\nvalue = third.value\n");
  Host host(folder.options());
  check_fresh(host, folder, "third.py");
}

TEST_CASE("a helper that another loaded module uses stays when a module is unloaded") {
  const ModuleFolder folder;
  write(folder, "counter.py", counter);
  write(folder, "folder/counter.py", counter);
  write(folder, "folder/helper.py", value(1));
  write(folder, "between.py", "from . import counter\n");
  for (const std::string imports :
       {"from modules import counter", "from modules.counter import count; import modules.counter as counter",
        "from modules.between import counter",
        "import importlib; counter = importlib.import_module('modules.counter')",
        "from modules.folder import counter"}) {
    CAPTURE(imports);
    write(folder, "b.py", module("", "counter.up()", imports));
    write(folder, "a.py",
          module("from modules.counter import up; import modules.folder.helper as h\nfrom modules.folder "
                 "import counter",
                 "h.value"));
    Host host(folder.options());
    CHECK(host.run("b") == 1);
    check_fresh(host, folder, "folder/helper.py");
    CHECK(host.run("b") == 2);
    host.unload("b");
    CHECK(host.run("b") == 1);
  }
}

TEST_CASE("a helper that is loaded by itself stays until it is unloaded") {
  const ModuleFolder folder;
  write(folder, "a.py", module("from modules.b import up", "up()"));
  write(folder, "b.py", counter + module("from modules import c", "c.up()"));
  write(folder, "c.py", counter);
  Host host(folder.options());
  CHECK(host.run("a") == 1);
  CHECK(host.run("b") == 1);
  host.unload("a");
  CHECK(host.run("a") == 2);
  CHECK(host.run("b") == 2);
  host.unload("b");
  CHECK(host.run("a") == 3);  // `a` still has the functions of the unloaded module
  CHECK(host.run("b") == 1);
}

TEST_CASE("a helper of a module that is being loaded stays when another module is unloaded") {
  const ModuleFolder folder;
  write(folder, "helper.py", value(1));
  write(folder, "a.py", module("import modules.helper", "modules.helper.value"));
  const std::string imports = "import modules.helper\nfrom pyhost import services\n";
  write(folder, "in_import.py", module(imports + "services.unload_a()", "modules.helper.value"));
  write(folder, "in_on_load.py",
        module(imports + "def on_load(): services.unload_a()", "modules.helper.value"));
  Host host(folder.options());
  host.services().provide("unload_a", [&](const Json&) -> Json { return host.unload("a"); });
  for (const char* name : {"in_import", "in_on_load"}) {
    host.load("a");
    CHECK(host.run(name) == 1);
    host.unload(name);
  }
}

TEST_CASE("unloading a module keeps helpers that others import under names computed at run time") {
  const ModuleFolder folder;
  write(folder, "a.py", module("from . import helper", "helper.value"));
  write(folder, "b.py", module("import importlib", "importlib.import_module('modules.' + 'counter').up()"));
  write(folder, "counter.py", counter);
  Host host(folder.options());
  CHECK(host.run("b") == 1);
  check_fresh(host, folder, "helper.py");
  CHECK(host.run("b") == 2);
}

TEST_CASE("helpers stay if the source of another loaded module has become unreadable") {
  const ModuleFolder folder;
  for (const char* name : {"a", "b"})
    write(folder, name + std::string(".py"), module("from . import counter", "counter.up()"));
  write(folder, "counter.py", counter);
  Host host(folder.options());
  CHECK(host.run("a") == 1);
  CHECK(host.run("b") == 2);
  write(folder, "b.py", "def (");
  host.unload("a");
  CHECK(host.run("a") == 3);
}

TEST_CASE("a module that failed to load imports its helpers again") {
  const ModuleFolder folder;
  write(folder, "a.py", module("from modules.helper import value", "value"));
  write(folder, "b.py", module("from modules import helper\ndef on_load(): helper.value", "helper.value"));
  Host host(folder.options());
  for (const char* name : {"a", "b"}) {
    write(folder, "helper.py", "valve = 1\n");
    REQUIRE_ERROR(error, ImportFailed, host.load(name));
    write(folder, "helper.py", value(1));
    CHECK(host.run(name) == 1);
    host.unload(name);
  }
}
