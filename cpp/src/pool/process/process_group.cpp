// Linux has no call for the members of a process group, so /proc is read.
#include "pool/process/process_group.hpp"

#include <dirent.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <thread>

namespace pyhost::detail {

namespace {

using namespace std::chrono_literals;

constexpr auto patience = 500ms;  // for the processes that are left in the group
constexpr auto interval = 5ms;    // between two checks

// Whether this process is in the group and is running. Reads /proc/PID/stat, "PID (NAME) STATE PARENT GROUP
// …", in which the name may contain anything.
bool is_running_member(const char* pid, pid_t group) {
  const std::string path = std::string("/proc/") + pid + "/stat";
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "re"), &std::fclose);
  std::array<char, 512> text{};
  if (!file || std::fread(text.data(), 1, text.size() - 1, file.get()) == 0) return false;
  const char* const name_end = std::strrchr(text.data(), ')');
  if (name_end == nullptr || std::strlen(name_end) < 4) return false;
  const char state = name_end[2];
  char* after_parent = nullptr;
  std::strtol(name_end + 3, &after_parent, 10);
  return state != 'Z' && state != 'X' && std::strtol(after_parent, nullptr, 10) == group;
}

bool has_running_member(pid_t group) {
  const std::unique_ptr<DIR, int (*)(DIR*)> processes(opendir("/proc"), &closedir);
  if (!processes) return false;
  while (const dirent* entry = readdir(processes.get())) {
    const bool is_process = entry->d_name[0] >= '1' && entry->d_name[0] <= '9';
    if (is_process && is_running_member(entry->d_name, group)) return true;
  }
  return false;
}

}  // namespace

void end_process_group(pid_t ended_leader) noexcept {
  const auto until = std::chrono::steady_clock::now() + patience;
  while (has_running_member(ended_leader) && std::chrono::steady_clock::now() < until)
    std::this_thread::sleep_for(interval);
  kill(-ended_leader, SIGKILL);
}

}  // namespace pyhost::detail
