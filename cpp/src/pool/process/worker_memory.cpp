// Reads /proc/self/statm without allocating.
#include "pool/process/worker_memory.hpp"

#include <fcntl.h>
#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>

namespace pyhost::detail {

namespace {

constexpr int mapped_pages = 0;  // fields of statm
constexpr int resident_pages = 1;

std::size_t bytes_of(int field) {
  const int file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  std::array<char, 128> text{};
  if (file < 0 || read(file, text.data(), text.size() - 1) <= 0) text[0] = '\0';
  if (file >= 0) close(file);
  const char* at = text.data();
  for (; field > 0 && *at != '\0'; ++at) field -= *at == ' ';
  return std::strtoull(at, nullptr, 10) * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace

void limit_memory(std::size_t bytes) {
  mallopt(M_ARENA_MAX, 1);  // each further arena would take 64 MiB of address space at once
  rlimit limit{};
  getrlimit(RLIMIT_AS, &limit);
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, bytes_of(mapped_pages) + bytes);
  limit.rlim_max = limit.rlim_cur;
  setrlimit(RLIMIT_AS, &limit);
}

std::size_t resident_memory() { return bytes_of(resident_pages); }

}  // namespace pyhost::detail
