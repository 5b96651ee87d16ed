// Builds JSON documents.
#include "cli/json_documents.hpp"

#include <algorithm>
#include <chrono>
#include <optional>
#include <string_view>
#include <utility>

#include "cli/terminal.hpp"
#include "cli/units.hpp"
#include "error/json_text.hpp"
#include "pyhost/doctor.hpp"
#include "pyhost/json.hpp"
#include "pyhost/scheduler.hpp"
#include "pyhost/survey.hpp"

namespace pyhost::cli {

namespace {

// Returns an absolute URI for an absolute path, otherwise a relative one. SARIF viewers resolve a relative
// URI against the root of the sources.
std::string uri_of(const std::string& file) {
  constexpr std::string_view hex = "0123456789ABCDEF";
  constexpr std::string_view plain = "-._~/";
  std::string uri = file.starts_with('/') ? "file://" : "";
  for (const char c : file) {
    const auto byte = static_cast<unsigned char>(c);
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (letter || plain.find(c) != std::string_view::npos) {
      uri += c;
    } else {
      uri += '%';
      uri += hex[byte >> 4U];
      uri += hex[byte & 0xfU];
    }
  }
  return uri;
}

Json sarif_result(const Diagnostic& diagnostic) {
  const auto codes = diagnostic_codes();
  const auto rule = std::ranges::find(codes, diagnostic.code, &DiagnosticCode::code);
  return {{"ruleId", diagnostic.code},
          {"ruleIndex", rule - codes.begin()},
          {"level", to_string(diagnostic.severity)},
          {"message", {{"text", diagnostic.message}}},
          {"locations",
           Json::array(
               {{{"physicalLocation",
                  {{"artifactLocation", {{"uri", uri_of(display_path(diagnostic.file))}}},
                   {"region", {{"startLine", diagnostic.line}, {"startColumn", diagnostic.column}}}}}}})}};
}

}  // namespace

std::string survey_document(const Survey& survey) {
  Json modules = Json::array();
  for (const ModuleInfo& module : survey.modules) modules.push_back(module.to_json());
  Json strays = Json::array();
  for (const Diagnostic& stray : survey.strays) strays.push_back(stray.to_json());
  return detail::json_text_with_replacements(
      {{"schema", 1}, {"modules", std::move(modules)}, {"strays", std::move(strays)}});
}

std::string diagnostics_document(std::size_t modules, const std::vector<Diagnostic>& diagnostics) {
  const auto count = [&](Severity severity) {
    return std::ranges::count(diagnostics, severity, &Diagnostic::severity);
  };
  Json all = Json::array();
  for (const Diagnostic& each : diagnostics) all.push_back(each.to_json());
  return detail::json_text_with_replacements({{"schema", 1},
                                              {"modules", modules},
                                              {"errors", count(Severity::Error)},
                                              {"warnings", count(Severity::Warning)},
                                              {"notes", count(Severity::Note)},
                                              {"diagnostics", std::move(all)}});
}

std::string sarif_document(const std::vector<Diagnostic>& diagnostics) {
  Json rules = Json::array();
  for (const DiagnosticCode& code : diagnostic_codes()) {
    rules.push_back({{"id", code.code},
                     {"shortDescription", {{"text", code.meaning}}},
                     {"defaultConfiguration", {{"level", to_string(code.severity)}}}});
  }
  Json results = Json::array();
  for (const Diagnostic& each : diagnostics) results.push_back(sarif_result(each));
  Json driver{{"name", "pyhost"}, {"version", PYHOST_VERSION}, {"rules", std::move(rules)}};
  Json run{{"tool", {{"driver", std::move(driver)}}},
           {"columnKind", "unicodeCodePoints"},
           {"results", std::move(results)}};
  const Json document{
      {"$schema",
       "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"},
      {"version", "2.1.0"},
      {"runs", Json::array({std::move(run)})}};
  return detail::json_text_with_replacements(document, 2);
}

std::string findings_document(const std::vector<Finding>& findings, bool healthy) {
  Json rows = Json::array();
  for (const Finding& each : findings) {
    rows.push_back({{"name", each.name},
                    {"value", each.value},
                    {"verdict", verdict_name(each)},
                    {"problem", each.problem},
                    {"cure", each.cure}});
  }
  return detail::json_text_with_replacements({{"schema", 1}, {"ok", healthy}, {"findings", std::move(rows)}});
}

const char* verdict_name(const Finding& finding) {
  switch (finding.verdict) {
    case Finding::Verdict::Ok:
      return "ok";
    case Finding::Verdict::Warning:
      return "warning";
    case Finding::Verdict::Fault:
      break;
  }
  return "fault";
}

namespace {

Json time_json(const std::optional<ScheduledRun::Time>& time) {
  return time ? Json(iso_text(*time)) : Json(nullptr);
}

Json run_json(const ScheduledRun& run) {
  Json json{{"entry", run.entry},         {"due", iso_text(run.due)},
            {"attempt", run.attempt},     {"status", run.status},
            {"owner", run.owner},         {"started", time_json(run.started)},
            {"message", run.message},     {"finished", time_json(run.finished)},
            {"triggered", run.triggered}, {"exit_code", nullptr},
            {"result", nullptr},          {"error", nullptr}};
  if (run.exit_code) json["exit_code"] = *run.exit_code;
  if (run.result) json["result"] = detail::parse_json(*run.result);
  if (run.error) json["error"] = run.error->to_json();
  return json;
}

}  // namespace

std::string runs_document(const std::vector<ScheduledRun>& runs) {
  Json document{{"schema", 1}, {"runs", Json::array()}};
  for (const ScheduledRun& run : runs) document["runs"].push_back(run_json(run));
  return detail::json_text_with_replacements(document);
}

namespace {

Json text_or_null(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

Json seconds_or_null(const std::optional<std::chrono::milliseconds>& time) {
  return time ? Json(std::chrono::duration<double>(*time).count()) : Json(nullptr);
}

Json entry_json(const EntryStatus& status) {
  const Entry& entry = status.entry;
  Json json{{"name", entry.name},
            {"module", entry.module},
            {"state", entry.state},
            {"when", status.when},
            {"cron", text_or_null(entry.cron)},
            {"every", seconds_or_null(entry.every)},
            {"at", text_or_null(entry.at)},
            {"after", text_or_null(entry.after)},
            {"zone", entry.zone},
            {"overlap", to_string(entry.overlap)},
            {"late", seconds_or_null(entry.late)},
            {"missed", to_string(entry.missed)},
            {"timeout", seconds_or_null(entry.timeout)},
            {"retries", entry.retries},
            {"enabled", entry.enabled},
            {"place", status.place},
            {"next", Json::array()},
            {"next_text", status.next_text},
            {"running", status.running},
            {"last", nullptr}};
  for (const auto& due : status.next) json["next"].push_back(iso_text(due));
  if (status.last) json["last"] = run_json(*status.last);
  return json;
}

Json problems_json(const std::vector<ScheduleProblem>& problems) {
  Json all = Json::array();
  for (const ScheduleProblem& each : problems) {
    all.push_back(
        {{"entry", each.entry}, {"place", each.place}, {"message", each.message}, {"hint", each.hint}});
  }
  return all;
}

}  // namespace

std::string schedule_document(const Schedule& schedule) {
  Json document{{"schema", 1},
                {"now", iso_text(schedule.now)},
                {"entries", Json::array()},
                {"problems", problems_json(schedule.problems)}};
  for (const EntryStatus& each : schedule.entries) document["entries"].push_back(entry_json(each));
  return detail::json_text_with_replacements(document);
}

std::string schedule_problems_document(std::size_t entries, const std::vector<ScheduleProblem>& problems) {
  return detail::json_text_with_replacements(
      {{"schema", 1}, {"entries", entries}, {"problems", problems_json(problems)}});
}

}  // namespace pyhost::cli
