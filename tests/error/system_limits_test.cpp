// Finds the limit of threads in folders that imitate control groups.
#include "error/system_limits.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

using pyhost::detail::limit_of_threads;
namespace fs = std::filesystem;

TEST_CASE("the limit that prevents another thread is named") {
  const fs::path root = fs::temp_directory_path() / ("pyhost-limits-" + std::to_string(getpid()));
  const auto write = [&root](const fs::path& group, const std::string& most, const std::string& current) {
    fs::create_directories(root / group);
    std::ofstream(root / group / "pids.max") << most << "\n";
    std::ofstream(root / group / "pids.current") << current << "\n";
  };
  const auto limit = [&root](const std::string& groups, rlim_t of_user = RLIM_INFINITY) {
    return limit_of_threads(root, groups, of_user);
  };
  write("pod", "100", "99");
  write("pod/container", "max", "99");
  write("free", "1000", "10");
  write("pids/job", "16", "16");
  CHECK(limit("0::/\n").empty());
  CHECK(limit("0::/\n", 64) == "RLIMIT_NPROC (ulimit -u) is 64");
  const std::string in_pod = "pids.max of the control group " + (root / "pod").string() + " is 100";
  CHECK(limit("0::/pod/container\n") == in_pod);
  CHECK(limit("0::/pod/container\n", 64) == in_pod);
  CHECK(limit("0::/free\n", 64) == "RLIMIT_NPROC (ulimit -u) is 64");
  CHECK(limit("0::/free\n") == "pids.max of the control group " + (root / "free").string() + " is 1000");
  CHECK(limit("3:pids:/job\n0::/\n", 64) ==
        "pids.max of the control group " + (root / "pids/job").string() + " is 16");
  fs::remove_all(root);
}
