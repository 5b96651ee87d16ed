// The codes of the survey, and its conversion from Python to plain data.
#include "host/survey.hpp"

#include <algorithm>
#include <array>

#include "convert/convert.hpp"
#include "error/module_name.hpp"
#include "pyhost/json.hpp"
#include "python/gil.hpp"

namespace pyhost {

namespace {

constexpr std::array codes{
    DiagnosticCode{"syntax-error", Severity::Error, "The file is not valid for this Python."},
    DiagnosticCode{"unreadable", Severity::Error, "The file or folder cannot be read."},
    DiagnosticCode{"no-create", Severity::Error, "The module has no create(state)."},
    DiagnosticCode{"create-not-callable", Severity::Error, "create is not callable."},
    DiagnosticCode{"create-arguments", Severity::Error, "create cannot be called with the state alone."},
    DiagnosticCode{"async-create", Severity::Error, "create is async, so it would return a coroutine."},
    DiagnosticCode{"no-run", Severity::Error, "The object that create returns has no run()."},
    DiagnosticCode{"run-not-callable", Severity::Error, "run is not callable."},
    DiagnosticCode{"run-arguments", Severity::Error, "run cannot be called without arguments."},
    DiagnosticCode{"import-failed", Severity::Error,
                   "Importing the module raised an exception (only with --import)."},
    DiagnosticCode{"syntax-warning", Severity::Warning, "Python warns about the source."},
    DiagnosticCode{"hidden", Severity::Warning,
                   "Another file of this name comes first and is loaded instead."},
    DiagnosticCode{"bad-name", Severity::Warning, "The file's name is not a valid module name."},
    DiagnosticCode{"too-large", Severity::Warning,
                   "The file is too large, or the folder has too many files, to be checked."},
    DiagnosticCode{"no-source", Severity::Note,
                   "An extension module or a .pyc without source; --import checks it."},
    DiagnosticCode{"create-unseen", Severity::Note,
                   "The source does not show what create is; --import checks it."},
    DiagnosticCode{"run-unseen", Severity::Note, "The source does not show whether there is a run()."},
};

Severity severity_of(std::string_view code) {
  const auto found = std::ranges::find(codes, code, &DiagnosticCode::code);
  return found != codes.end() ? found->severity : Severity::Error;
}

}  // namespace

std::string_view to_string(Severity severity) noexcept {
  constexpr std::array<std::string_view, 3> names{"error", "warning", "note"};
  return names[static_cast<std::size_t>(severity)];
}

std::span<const DiagnosticCode> diagnostic_codes() noexcept { return codes; }

Json Diagnostic::to_json() const {
  return {{"module", module},  {"file", file}, {"line", line},
          {"column", column},  {"code", code}, {"severity", to_string(severity)},
          {"message", message}};
}

const Diagnostic* ModuleInfo::error() const noexcept {
  const auto found = std::ranges::find(diagnostics, Severity::Error, &Diagnostic::severity);
  return found != diagnostics.end() ? &*found : nullptr;
}

Json ModuleInfo::to_json() const {
  const Diagnostic* const first = error();
  return {{"name", name},
          {"file", file},
          {"doc", doc},
          {"hidden_by", hidden_by.empty() ? Json(nullptr) : Json(hidden_by)},
          {"error", first != nullptr ? first->to_json() : Json(nullptr)}};
}

void check_module_name(std::string_view name) { detail::check_module_name(name); }

namespace detail {

namespace {

Diagnostic diagnostic_from(const Json& json, const std::string& module) {
  Diagnostic diagnostic{.module = module,
                        .file = json["file"],
                        .line = json["line"],
                        .column = json["column"],
                        .code = json["code"],
                        .message = json["message"]};
  diagnostic.severity = severity_of(diagnostic.code);
  return diagnostic;
}

ModuleInfo module_from(const Json& json) {
  ModuleInfo info{
      .name = json["name"], .file = json["file"], .doc = json["doc"], .hidden_by = json["hidden_by"]};
  for (const Json& each : json["diagnostics"]) info.diagnostics.push_back(diagnostic_from(each, info.name));
  return info;
}

// Converts paths to a list of str, in which bytes that are not UTF-8 are kept as surrogates.
py::object path_list(const std::vector<std::string>& texts) {
  const py::object list = require(PyList_New(0), "creating a list");
  for (const std::string& each : texts) {
    const auto size = static_cast<Py_ssize_t>(each.size());
    const py::object text = require(PyUnicode_DecodeFSDefaultAndSize(each.data(), size), "reading a path");
    if (PyList_Append(list.ptr(), text.ptr()) != 0) require(nullptr, "creating a list");
  }
  return list;
}

std::vector<std::string> module_folders(const ModulePaths& paths) {
  std::vector<std::string> folders;
  for (const std::filesystem::path& path : paths) folders.push_back((path / "modules").string());
  return folders;
}

}  // namespace

std::string code_hash(const ModulePaths& paths) {
  const py::object python =
      require(PyImport_ImportModule("pyhost._code_hash"), "importing pyhost's own files");
  const py::object hash =
      require(PyObject_CallMethod(python.ptr(), "code_hash", "O", path_list(module_folders(paths)).ptr()),
              "reading the modules");
  return Conversions().to_json(hash.ptr()).get<std::string>();
}

Surveyed survey(const ModulePaths& paths, const std::vector<std::string>& names, Look look) {
  std::vector<std::string> folders = module_folders(paths);
  const py::object python = require(PyImport_ImportModule("pyhost._survey"), "importing pyhost's own files");
  const py::object found =
      require(PyObject_CallMethod(python.ptr(), "survey", "OOO", path_list(folders).ptr(),
                                  path_list(names).ptr(), look == Look::Import ? Py_True : Py_False),
              "surveying the modules");
  const Json json = Conversions().to_json(found.ptr());
  Surveyed surveyed;
  surveyed.survey.folders = std::move(folders);
  for (const Json& each : json["modules"]) surveyed.survey.modules.push_back(module_from(each));
  for (const Json& each : json["strays"]) surveyed.survey.strays.push_back(diagnostic_from(each, {}));
  surveyed.missing = json["missing"].get<std::vector<std::string>>();
  return surveyed;
}

}  // namespace detail

}  // namespace pyhost
