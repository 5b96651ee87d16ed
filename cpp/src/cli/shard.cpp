// Parses shards. Slurm sets all variables that are needed. Kubernetes sets only the index, not the number of
// parts.
#include "cli/shard.hpp"

#include <charconv>
#include <cstdlib>
#include <optional>
#include <string_view>

#include "cli/errors.hpp"

namespace pyhost::cli {

namespace {

std::optional<std::size_t> number(std::string_view text) {
  std::size_t value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

bool has_variable(const char* variable) { return std::getenv(variable) != nullptr; }

std::size_t variable(const char* name, const char* missing) {
  const char* text = std::getenv(name);
  if (text == nullptr) throw UsageError("--shard auto: " + std::string(missing));
  if (const auto value = number(text)) return *value;
  throw UsageError("--shard auto: " + std::string(name) + " is not a number: '" + text + "'");
}

Shard checked(std::size_t at, std::size_t of, const std::string& from) {
  if (of == 0 || at >= of) throw UsageError(from + ": the number of parts is " + std::to_string(of));
  return {at, of};
}

Shard of_slurm() {
  constexpr const char* missing = "SLURM_ARRAY_TASK_ID is set, but SLURM_ARRAY_TASK_MIN or _COUNT is not";
  const std::size_t id = variable("SLURM_ARRAY_TASK_ID", missing);
  const std::size_t first = variable("SLURM_ARRAY_TASK_MIN", missing);
  const std::size_t count = variable("SLURM_ARRAY_TASK_COUNT", missing);
  const std::size_t step = has_variable("SLURM_ARRAY_TASK_STEP") ? variable("SLURM_ARRAY_TASK_STEP", "") : 1;
  if (step == 0 || id < first || (id - first) % step != 0 || (id - first) / step >= count) {
    throw UsageError("--shard auto needs a Slurm array without gaps, as in --array=0-9, but this is task " +
                     std::to_string(id) + " of an array of " + std::to_string(count) +
                     " tasks that begins at " + std::to_string(first));
  }
  return {(id - first) / step, count};
}

Shard of_kubernetes() {
  const std::size_t index = variable("JOB_COMPLETION_INDEX", "");
  const std::size_t count =
      variable("JOB_COMPLETIONS",
               "JOB_COMPLETION_INDEX is set, but Kubernetes does not provide the number of parts: set "
               "JOB_COMPLETIONS in the container's env to the job's spec.completions");
  return checked(index, count, "JOB_COMPLETION_INDEX=" + std::to_string(index));
}

}  // namespace

Shard parse_shard(const std::string& text) {
  if (text.empty()) return {};
  if (text == "auto") {
    if (has_variable("SLURM_ARRAY_TASK_ID")) return of_slurm();
    if (has_variable("JOB_COMPLETION_INDEX")) return of_kubernetes();
    throw UsageError(
        "--shard auto: this is neither a task of a Slurm array (SLURM_ARRAY_TASK_ID) nor a pod of a "
        "Kubernetes indexed job (JOB_COMPLETION_INDEX)");
  }
  const std::size_t slash = text.find('/');
  const auto which = number(std::string_view(text).substr(0, slash));
  const auto of =
      slash == std::string::npos ? std::nullopt : number(std::string_view(text).substr(slash + 1));
  if (!which || !of || *which == 0) {
    throw UsageError("--shard must be i/n, as in 1/4 for the first of four, or auto, not '" + text + "'");
  }
  return checked(*which - 1, *of, "--shard " + text);
}

}  // namespace pyhost::cli
