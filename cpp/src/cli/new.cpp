// pyhost new NAME: creates a module to start from, and a test of it that passes.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "cli/arguments.hpp"
#include "cli/commands.hpp"
#include "cli/errors.hpp"
#include "cli/exit_code.hpp"
#include "cli/files.hpp"
#include "cli/host_options.hpp"
#include "cli/result_stream.hpp"
#include "cli/terminal.hpp"
#include "error/utf8.hpp"
#include "pyhost/host.hpp"

namespace pyhost::cli {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view module_template =
    R"("""Greets the person that the state names. Replace this line with what the module does.

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


def test_greets_the_person_that_the_state_names(run_module: RunModule) -> None:
    result = run_module("NAME", {"who": "Ada"})
    assert result == {"greeting": "Hello, Ada!"}


def test_greets_the_world_by_default(run_module: RunModule) -> None:
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

// Returns whether the path exists, including a link whose target does not exist.
bool is_taken(const fs::path& file) {
  std::error_code failed;
  return fs::exists(fs::symlink_status(file, failed));
}

void refuse_to_overwrite(const fs::path& file) {
  if (is_taken(file)) {
    throw UsageError(detail::terminal_safe_line(display_path(file.string())) +
                     " already exists, and is not overwritten");
  }
}

// A file that the constructor creates. The destructor removes it again unless keep() was called, so that no
// incomplete file is left.
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
    return detail::terminal_safe_line(display_path(path_.string()));
  }

 private:
  [[noreturn]] void fail() const {
    throw OutputError(detail::terminal_safe_line(display_path(path_.string())) +
                      " could not be written: " + std::strerror(errno));
  }

  fs::path path_;
  int descriptor_ = -1;
};

// Returns the folder that contains `modules`, or will contain it.
fs::path module_path(const NewArguments& arguments) {
  const Options options = host_options({.module_paths = arguments.module_paths});
  std::error_code failed;
  if (options.module_paths.empty()) {
    return fs::absolute(fs::is_directory("python_modules", failed) ? "python_modules" : ".")
        .lexically_normal();
  }
  const fs::path& path = options.module_paths.front();
  if (!fs::is_directory(path, failed))
    throw UsageError("module path '" + detail::terminal_safe_line(path.string()) + "' is not a folder");
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

// Returns the files to create: __init__.py of new packages, the module (last but one), and its test (last).
// Refuses a package beside a module of the same name, and a module beside such a package, because one would
// hide the other.
std::vector<fs::path> files_of(const fs::path& path, const std::string& name) {
  std::vector<fs::path> files;
  fs::path folder = path / "modules";
  const std::vector<std::string> parts = parts_of(name);
  for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
    refuse_to_overwrite(folder / (parts[i] + ".py"));
    folder /= parts[i];
    if (!is_taken(folder)) files.push_back(folder / "__init__.py");
  }
  refuse_to_overwrite(folder / parts.back());
  files.push_back(folder / (parts.back() + ".py"));
  std::string test = name;
  std::ranges::replace(test, '.', '_');
  files.push_back(path / "tests" / ("test_" + test + ".py"));
  for (const fs::path& file : files) refuse_to_overwrite(file);
  return files;
}

// Quotes a word for the shell.
std::string quoted(std::string text) {
  constexpr std::string_view odd = " \t\n\"'\\$`&|;<>()*?[]#~!{}";
  if (text.find_first_of(odd) == std::string::npos) return text;
  for (std::size_t at = text.find('\''); at != std::string::npos; at = text.find('\'', at + 4)) {
    text.replace(at, 1, "'\\''");
  }
  return "'" + text + "'";
}

// Returns the command that runs the new test. If pyhost is installed in a virtual environment, pytest finds
// its fixture there. Otherwise the command must name it.
std::string pytest_command() {
  const fs::path python_modules = Host::python_modules();
  std::error_code failed;
  const fs::path environment = python_modules / "../../..";
  if (fs::exists(environment / "pyvenv.cfg", failed)) return "pytest";
  return "PYTHONPATH=" + quoted(python_modules.string()) + " python3 -m pytest -p pyhost.pytest_fixtures";
}

}  // namespace

int new_module(const NewArguments& arguments) {
  check_module_name(arguments.name);
  ResultStream output;
  std::vector<std::unique_ptr<NewFile>> files;
  for (const fs::path& path : files_of(module_path(arguments), arguments.name)) {
    files.push_back(std::make_unique<NewFile>(path));
  }
  files[files.size() - 2]->write(filled_in(module_template, arguments.name));
  files.back()->write(filled_in(test_template, arguments.name));
  std::string message;
  std::string test;
  for (const std::unique_ptr<NewFile>& file : files) {
    test = file->keep();
    message += "wrote " + test + "\n";
  }
  const std::string where = arguments.module_paths.empty()
                                ? ""
                                : " -m " + detail::terminal_safe_line(quoted(arguments.module_paths.front()));
  message += "\nNow try:\n  pyhost run " + arguments.name + where + " -p who=Ada\n  pyhost check " +
             arguments.name + where + "\n  " + pytest_command() + " " + quoted(test) + "\n";
  output.write(message);
  return ok;
}

}  // namespace pyhost::cli
