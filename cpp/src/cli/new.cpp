// pyhost new NAME: a module to start from and its test, which pass as they stand.
#include <fcntl.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <iostream>

#include "cli/command.hpp"
#include "cli/errors.hpp"
#include "cli/result_stream.hpp"
#include "cli/terminal.hpp"
#include "pyhost/pyhost.hpp"

namespace pyhost::cli {

namespace {

namespace fs = std::filesystem;

struct Arguments {
  std::string name;
  HostArguments host;
};

constexpr std::string_view module_template =
    R"("""Greets whom the state names. Say here in one line what the module does.

State:
    who  optional, a name, "world" by default

Result:
    {"greeting": "Hello, world!"}
"""

from typing import Any


class Module:
    def __init__(self, state: dict[str, Any]) -> None:
        self.who = state.get("who", "world")

    def run(self) -> dict[str, Any]:
        return {"greeting": f"Hello, {self.who}!"}


def create(state: dict[str, Any]) -> Module:
    return Module(state)
)";

constexpr std::string_view test_template =
    R"("""Tests of NAME. The fixture run_module comes with pyhost and needs no host."""

from pyhost.testing import RunModule


def test_it_greets_whom_the_state_names(run_module: RunModule) -> None:
    result = run_module("NAME", {"who": "Ada"})
    assert result == {"greeting": "Hello, Ada!"}


def test_it_greets_the_world_by_default(run_module: RunModule) -> None:
    assert run_module("NAME") == {"greeting": "Hello, world!"}
)";

std::string filled_in(std::string_view text, const std::string& name) {
  constexpr std::string_view hole = "NAME";
  std::string filled;
  for (std::size_t at = text.find(hole); at != std::string_view::npos; at = text.find(hole)) {
    filled.append(text.substr(0, at)).append(name);
    text.remove_prefix(at + hole.size());
  }
  return filled.append(text);
}

bool is_there(const fs::path& file) {
  std::error_code failed;
  return fs::exists(fs::symlink_status(file, failed));
}

void refuse_to_overwrite(const fs::path& file) {
  if (is_there(file)) {
    throw UsageError(inert(from_here(file.string())) + " is there already, and nothing is overwritten");
  }
}

// A file that was not there before. Taken away again unless it is kept, so that a half is never left.
class NewFile {
 public:
  explicit NewFile(fs::path path) : path_(std::move(path)) {
    std::error_code failed;
    fs::create_directories(path_.parent_path(), failed);
    descriptor_ = open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor_ < 0) fail();
  }
  ~NewFile() {
    if (descriptor_ < 0) return;
    close(descriptor_);
    unlink(path_.c_str());
  }
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;

  void write(std::string_view text) const {
    if (!write_all(descriptor_, text)) fail();
  }

  std::string keep() {
    if (close(descriptor_) != 0) fail();
    descriptor_ = -1;
    return inert(from_here(path_.string()));
  }

 private:
  [[noreturn]] void fail() const {
    throw OutputError(inert(from_here(path_.string())) + " could not be written: " + std::strerror(errno));
  }

  fs::path path_;
  int descriptor_ = -1;
};

// The folder that holds `modules`, or will.
fs::path module_path(const Arguments& arguments) {
  const Options options = options_from(arguments.host);
  std::error_code failed;
  if (options.module_paths.empty()) {
    return fs::absolute(fs::is_directory("python_modules", failed) ? "python_modules" : ".")
        .lexically_normal();
  }
  const fs::path& path = options.module_paths.front();
  if (!fs::is_directory(path, failed))
    throw UsageError("module path '" + inert(path.string()) + "' is no folder");
  return fs::absolute(path).lexically_normal();
}

std::vector<std::string> parts_of(const std::string& name) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0; begin <= name.size();) {
    const std::size_t end = std::min(name.find('.', begin), name.size());
    parts.push_back(name.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

// What is new here: the packages around the module, the module, its test; the module's file is the last but
// one. A file and a package of one name hide each other, so neither is made beside the other.
std::vector<fs::path> files_of(const fs::path& path, const std::string& name) {
  std::vector<fs::path> files;
  fs::path folder = path / "modules";
  const std::vector<std::string> parts = parts_of(name);
  for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
    refuse_to_overwrite(folder / (parts[i] + ".py"));
    folder /= parts[i];
    if (!is_there(folder)) files.push_back(folder / "__init__.py");
  }
  refuse_to_overwrite(folder / parts.back());
  files.push_back(folder / (parts.back() + ".py"));
  std::string test = name;
  std::ranges::replace(test, '.', '_');
  files.push_back(path / "tests" / ("test_" + test + ".py"));
  for (const fs::path& file : files) refuse_to_overwrite(file);
  return files;
}

// As a shell reads it back.
std::string quoted(std::string text) {
  constexpr std::string_view odd = " \t\n\"'\\$`&|;<>()*?[]#~!{}";
  if (text.find_first_of(odd) == std::string::npos) return text;
  for (std::size_t at = text.find('\''); at != std::string::npos; at = text.find('\'', at + 4)) {
    text.replace(at, 1, "'\\''");
  }
  return "'" + text + "'";
}

// In a virtual environment that pyhost was installed in, pytest knows the fixture; elsewhere it is told.
std::string pytest_command() {
  const fs::path python_modules = Host::python_modules();
  std::error_code failed;
  const fs::path environment = python_modules / "../../..";
  if (fs::exists(environment / "pyvenv.cfg", failed)) return "pytest";
  return "PYTHONPATH=" + quoted(python_modules.string()) + " python3 -m pytest -p pyhost.pytest_fixtures";
}

int make(const Arguments& arguments) {
  check_module_name(arguments.name);
  ResultStream output({}, false);
  std::vector<std::unique_ptr<NewFile>> files;
  for (const fs::path& path : files_of(module_path(arguments), arguments.name)) {
    files.push_back(std::make_unique<NewFile>(path));
  }
  files[files.size() - 2]->write(filled_in(module_template, arguments.name));
  files.back()->write(filled_in(test_template, arguments.name));
  std::string said;
  std::string test;
  for (const std::unique_ptr<NewFile>& file : files) {
    test = file->keep();
    said += "wrote " + test + "\n";
  }
  const std::string where =
      arguments.host.module_paths.empty() ? "" : " -m " + inert(quoted(arguments.host.module_paths.front()));
  said += "\nNow try:\n  pyhost run " + arguments.name + where + " -p who=Ada\n  pyhost check " +
          arguments.name + where + "\n  " + pytest_command() + " " + quoted(test) + "\n";
  output.write(said);
  return ok;
}

constexpr const char* examples =
    "Writes a module to start from, and its test.\n\n"
    "Examples:\n"
    "  pyhost new shout\n"
    "  pyhost new reports.daily\n"
    "  pyhost new shout -m scripts\n";

}  // namespace

void add_new(CLI::App& program, int& code) {
  CLI::App* command = program.add_subcommand("new", examples);
  const auto arguments = std::make_shared<Arguments>();
  command->add_option("NAME", arguments->name, "The module's name, as in modules/NAME.py; dots make packages")
      ->required();
  add_module_paths(*command, arguments->host);
  command->footer(
      "It writes DIR/modules/NAME.py and DIR/tests/test_NAME.py, where DIR is the first module path that is\n"
      "given, else ./python_modules if that is there, else the current folder. Nothing is overwritten.\n\n"
      "Exit codes: 0 ok; 2 usage, a bad name, or a file that is there already; 74 a file could not be "
      "written.");
  command->callback([arguments, &code] { code = exit_code_of("new", [&] { return make(*arguments); }); });
}

}  // namespace pyhost::cli
