// Computes the number of cores under a CPU quota, in folders that imitate control groups.
#include "pool/cores.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

using pyhost::detail::quota_in_cores;
namespace fs = std::filesystem;

namespace {

class Groups {
 public:
  ~Groups() { fs::remove_all(root); }
  void write(const fs::path& file, const std::string& text) const {
    fs::create_directories((root / file).parent_path());
    std::ofstream(root / file) << text;
  }
  const fs::path root = fs::temp_directory_path() / ("pyhost-groups-" + std::to_string(getpid()));
};

}  // namespace

TEST_CASE("a CPU quota is rounded up to whole cores") {
  const Groups groups;
  CHECK_FALSE(quota_in_cores(groups.root, "0::/\n"));
  groups.write("cpu.max", "max 100000\n");
  CHECK_FALSE(quota_in_cores(groups.root, "0::/\n"));
  groups.write("cpu.max", "50000 100000\n");
  CHECK(quota_in_cores(groups.root, "0::/\n") == 1);
  groups.write("cpu.max", "250000 100000\n");
  CHECK(quota_in_cores(groups.root, "0::/\n") == 3);
}

TEST_CASE("the smallest CPU quota of a control group and its ancestors counts") {
  const Groups groups;
  groups.write("pod/cpu.max", "200000 100000\n");
  groups.write("pod/container/cpu.max", "400000 100000\n");
  CHECK(quota_in_cores(groups.root, "0::/pod/container\n") == 2);
  CHECK(quota_in_cores(groups.root, "0::/pod/not/mounted/here\n") == 2);
  CHECK_FALSE(quota_in_cores(groups.root, "0::/other\n"));
}

TEST_CASE("a CPU quota of control groups version 1 counts") {
  const Groups groups;
  groups.write("cpu/job/cpu.cfs_quota_us", "150000\n");
  groups.write("cpu/job/cpu.cfs_period_us", "100000\n");
  groups.write("cpu/free/cpu.cfs_quota_us", "-1\n");
  groups.write("cpu/free/cpu.cfs_period_us", "100000\n");
  const std::string others = "12:cpuset:/job\n1:name=systemd:/job\n";
  CHECK(quota_in_cores(groups.root, others + "4:cpu,cpuacct:/job\n") == 2);
  CHECK_FALSE(quota_in_cores(groups.root, others + "4:cpu,cpuacct:/free\n"));
  CHECK_FALSE(quota_in_cores(groups.root, others));
}
