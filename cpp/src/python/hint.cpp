// Hints about Python 2 code, packages that are not installed, and modules that are imported by an incomplete
// name.
#include "python/hint.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <string_view>

#include "python/python.hpp"
#include "python/traceback.hpp"

namespace pyhost::detail {

namespace {

namespace fs = std::filesystem;

struct Renamed {
  std::string_view old, now;
};

constexpr std::array<Renamed, 11> old_names{{{"basestring", "str"},
                                             {"execfile", "exec(open(name).read())"},
                                             {"file", "open"},
                                             {"long", "int"},
                                             {"raw_input", "input"},
                                             {"reduce", "functools.reduce"},
                                             {"reload", "importlib.reload"},
                                             {"unichr", "chr"},
                                             {"unicode", "str"},
                                             {"xrange", "range"},
                                             {"cmp", "(a > b) - (a < b)"}}};

constexpr std::array<Renamed, 13> old_modules{{{"ConfigParser", "configparser"},
                                               {"cPickle", "pickle"},
                                               {"cStringIO", "io"},
                                               {"commands", "subprocess"},
                                               {"Cookie", "http.cookies"},
                                               {"HTMLParser", "html.parser"},
                                               {"httplib", "http.client"},
                                               {"Queue", "queue"},
                                               {"StringIO", "io"},
                                               {"Tkinter", "tkinter"},
                                               {"urllib2", "urllib.request"},
                                               {"urlparse", "urllib.parse"},
                                               {"__builtin__", "builtins"}}};

template <std::size_t N>
std::string_view now(const std::array<Renamed, N>& renamed, std::string_view old) {
  const auto* found = std::ranges::find(renamed, old, &Renamed::old);
  return found != renamed.end() ? found->now : std::string_view();
}

std::string syntax_hint(std::string_view message) {
  const std::string looks = "this looks like Python 2: in Python 3 ";
  if (message.starts_with("Missing parentheses in call to 'print'")) {
    return looks + "print is a function, print(\"...\")";
  }
  if (message.starts_with("Missing parentheses in call to 'exec'")) return looks + "exec is a function";
  if (message.starts_with("multiple exception types must be parenthesized")) {
    return looks + "write `except ValueError as error:`";
  }
  if (message.starts_with("leading zeros in decimal integer")) return looks + "an octal number is 0o755";
  if (message.starts_with("inconsistent use of tabs")) return "indent with spaces only";
  return {};
}

std::string name_hint(std::string_view message) {
  const std::size_t begin = message.find('\'');
  const std::size_t end = message.find('\'', begin + 1);
  if (!message.starts_with("name ") || end == std::string_view::npos) return {};
  const std::string name(message.substr(begin + 1, end - begin - 1));
  const std::string_view new_name = now(old_names, name);
  if (new_name.empty()) return {};
  return "this looks like Python 2: '" + name + "' is " + std::string(new_name) + " in Python 3";
}

std::string sys_text(const char* name) { return text_of(PySys_GetObject(name), 4096); }

bool is_of_standard_library(const std::string& name) {
  PyObject* const names = PySys_GetObject("stdlib_module_names");  // from Python 3.10 on
  const py::object key = steal(PyUnicode_FromString(name.c_str()));
  const int there =
      names != nullptr && PyFrozenSet_Check(names) && key ? PySet_Contains(names, key.ptr()) : 0;
  PyErr_Clear();
  return there == 1;
}

// Returns "modules.reports" for …/modules/reports/daily.py: the package from which a neighbour is imported.
std::string package_of(const fs::path& file) {
  std::string package = "modules";
  bool below = false;
  for (const fs::path& part : file.parent_path()) {
    if (below) package += "." + part.string();
    if (part == "modules") {
      package = "modules";
      below = true;
    }
  }
  return below ? package : "";
}

std::string neighbour_hint(const PythonException& raised, const std::string& top) {
  const auto frame =
      std::ranges::find(raised.frames.rbegin(), raised.frames.rend(), Origin::Module, origin_of);
  if (frame == raised.frames.rend()) return {};
  const fs::path file = frame->file;
  const std::string package = package_of(file);
  std::error_code failed;
  const fs::path neighbour = file.parent_path() / top;
  const bool there = fs::is_regular_file(neighbour.string() + ".py", failed) ||
                     fs::is_regular_file(neighbour / "__init__.py", failed);
  if (package.empty() || !there) return {};
  return "import the module beside it with `from " + package + " import " + top + "`";
}

std::string import_hint(const PythonException& raised) {
  const std::string top = raised.import_name.substr(0, raised.import_name.find('.'));
  if (top.empty() || top == "modules") return {};
  if (const std::string_view new_name = now(old_modules, top); !new_name.empty()) {
    return "this looks like Python 2: '" + top + "' is " + std::string(new_name) + " in Python 3";
  }
  if (raised.import_name == "pyhost") {  // do not suggest pip: the index has another project of this name
    return "pyhost's own Python files were not found: install pyhost with `cmake --install`, or set "
           "PythonOptions::python_modules to their folder";
  }
  if (top == "_pyhost") return "the module needs a pyhost host, and this process has none";
  if (std::string hint = neighbour_hint(raised, top); !hint.empty()) return hint;
  const std::string prefix = sys_text("prefix");
  if (is_of_standard_library(top)) {
    return "'" + top + "' is part of the standard library, but the Python in " + prefix +
           " was built without it";
  }
  if (top != raised.import_name) return {};  // a missing submodule such as numpy.nothing cannot be installed
  const std::string python = sys_text("executable");
  return "'" + top + "' is not installed in " + prefix + "; if its package has the same name, `" +
         (python.empty() ? "python3" : python) + " -m pip install " + top + "` installs it";
}

// The message of _PyImport_CheckSubinterpIncompatibleExtensionAllowed (CPython, Python/import.c).
std::string extension_hint(const PythonException& raised) {
  constexpr std::string_view before = "module ", after = " does not support loading in subinterpreters";
  const std::string_view message = raised.message;
  if (!message.starts_with(before) || !message.ends_with(after)) return {};
  const std::string name(message.substr(before.size(), message.size() - before.size() - after.size()));
  const auto is_importer = [](const Frame& frame) { return !frame.file.starts_with("<frozen"); };
  const auto importer = std::find_if(raised.frames.rbegin(), raised.frames.rend(), is_importer);
  const std::string where = importer != raised.frames.rend() ? ", imported by " + importer->file : "";
  return "the extension '" + name + "'" + where +
         ", works in one interpreter only: use the isolation level 'process' or 'shared'";
}

std::string hint_for_one(const PythonException& raised) {
  if (raised.type == "SyntaxError" || raised.type == "TabError") return syntax_hint(raised.message);
  if (raised.type == "SystemExit")
    return "a module cannot end its host: return from run() instead of exiting";
  if (raised.type == "NameError") return name_hint(raised.message);
  if (raised.type == "ModuleNotFoundError") return import_hint(raised);
  if (raised.type == "ImportError") return extension_hint(raised);
  return {};
}

}  // namespace

std::string hint_for(const PythonException& raised) {
  std::string hint = hint_for_one(raised);
  for (const PythonException& earlier : raised.chain) {
    if (hint.empty()) hint = hint_for_one(earlier);
  }
  return hint;
}

}  // namespace pyhost::detail
