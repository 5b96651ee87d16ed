// Describes what the system refused, and which limit caused it.
#include "error/system_limits.hpp"

#include <cerrno>
#include <fstream>
#include <optional>

#include "error/control_groups.hpp"

namespace pyhost::detail {

namespace {

namespace fs = std::filesystem;

rlim_t soft_limit(__rlimit_resource of) {
  rlimit limit{};
  return getrlimit(of, &limit) == 0 ? limit.rlim_cur : RLIM_INFINITY;
}

std::optional<long long> number_in(const fs::path& file) {
  long long number = 0;
  if (std::ifstream(file) >> number) return number;
  return std::nullopt;  // the file may contain "max"
}

}  // namespace

// Other threads may have ended since then, so a group that is nearly full counts as full.
std::string limit_of_threads(const fs::path& root, std::string_view groups, rlim_t of_user) {
  constexpr long long little = 8;
  std::string in_group;
  for (const ControlGroup& group : control_groups(root, groups, "pids")) {
    const auto most = number_in(group.folder / "pids.max");
    if (!most) continue;
    std::string limit =
        "pids.max of the control group " + group.folder.string() + " is " + std::to_string(*most);
    if (number_in(group.folder / "pids.current").value_or(0) + little >= *most) return limit;
    if (in_group.empty()) in_group = std::move(limit);
  }
  if (of_user == RLIM_INFINITY) return in_group;
  return "RLIMIT_NPROC (ulimit -u) is " + std::to_string(of_user);
}

Error refused_by_system(const std::string& what, int error) {
  std::string limit, hint;
  if (error == EAGAIN) {
    limit = limit_of_threads(control_groups_root(), control_groups_of(), soft_limit(RLIMIT_NPROC));
    hint = "use fewer workers, or allow more threads and processes";
  } else if (error == EMFILE) {
    limit = "RLIMIT_NOFILE (ulimit -n) is " + std::to_string(soft_limit(RLIMIT_NOFILE));
    hint = "use fewer workers, or allow more open files";
  }
  return Error(
      {.kind = ErrorKind::StartupFailed,
       .phase = Phase::Start,
       .message = what + ": " + std::system_category().message(error) + (limit.empty() ? "" : ": " + limit),
       .hint = std::move(hint)});
}

int require_from_system(int result, const std::string& what) {
  if (result < 0) throw refused_by_system(what, errno);
  return result;
}

}  // namespace pyhost::detail
