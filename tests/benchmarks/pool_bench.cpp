// Runs many small states in one pool. Prints a line of JSON: runs per second, the private memory of all
// processes, and on request the speedup over a pool of one worker.
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <pyhost/pyhost.hpp>
#include <ranges>
#include <string>
#include <string_view>
#include <vector>

namespace {

using pyhost::Isolation;
using pyhost::Json;

struct Wanted {
  Isolation isolation;
  std::size_t workers;
  std::string module;
  std::string state;
  std::size_t count;
};

Wanted parse(char** words) {
  const std::map<std::string_view, Isolation> levels{{"shared", Isolation::Shared},
                                                     {"interpreter", Isolation::Interpreter},
                                                     {"process", Isolation::Process}};
  return {levels.at(words[1]), std::stoul(words[2]), words[3], words[4], std::stoul(words[5])};
}

double seconds_of_all(pyhost::Pool& pool, const Wanted& wanted, std::size_t count) {
  const auto states = std::views::iota(std::size_t{0}, count) |
                      std::views::transform([&](std::size_t) { return std::string_view(wanted.state); });
  const auto begun = std::chrono::steady_clock::now();
  std::size_t failed = 0;
  for (const pyhost::Outcome& outcome : pool.map(wanted.module, states, {.ordered = false})) {
    if (!outcome.ok()) ++failed;
  }
  if (failed != 0) throw std::runtime_error(std::to_string(failed) + " runs failed");
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
}

// The memory in KiB of one process that no other process shares (USS).
std::size_t private_kib(const std::filesystem::path& process) {
  std::ifstream rollup(process / "smaps_rollup");
  std::size_t sum = 0;
  for (std::string line; std::getline(rollup, line);) {
    if (!line.starts_with("Private_")) continue;
    sum += std::stoul(line.substr(line.find(':') + 1));
  }
  return sum;
}

std::size_t private_kib_of_all() {
  std::size_t sum = private_kib("/proc/self");
  for (const auto& thread : std::filesystem::directory_iterator("/proc/self/task")) {
    std::ifstream children(thread.path() / "children");  // lists only the children of this thread
    for (std::string child; children >> child;) sum += private_kib("/proc/" + child);
  }
  return sum;
}

// Measures both pools in turns of a few tenths of a second, because the speed of a machine changes within
// seconds.
double speedup_over_one_worker(pyhost::Host& host, pyhost::Pool& pool, const Wanted& wanted) {
  constexpr std::size_t turns = 21;
  pyhost::Pool one(host, {.workers = 1, .isolation = wanted.isolation});
  seconds_of_all(one, wanted, wanted.count / 10 + 1000);
  std::vector<double> ratios;
  for (std::size_t turn = 0; turn < turns; ++turn) {
    const double alone = seconds_of_all(one, wanted, wanted.count / turns);
    ratios.push_back(alone / seconds_of_all(pool, wanted, wanted.count / turns));
  }
  std::ranges::nth_element(ratios, ratios.begin() + turns / 2);
  return ratios[turns / 2];
}

}  // namespace

// pool_bench LEVEL WORKERS MODULE STATE COUNT [speedup]
int main(int count, char** words) {
  const bool wants_speedup = count == 7 && std::string_view(words[6]) == "speedup";
  if (count != 6 && !wants_speedup) return 2;
  const Wanted wanted = parse(words);
  pyhost::Host host({.module_paths = {PYHOST_BENCH_FOLDER}});
  pyhost::Pool pool(host, {.workers = wanted.workers, .isolation = wanted.isolation});
  seconds_of_all(pool, wanted, wanted.count / 10 + 1000 * wanted.workers);
  const double seconds = seconds_of_all(pool, wanted, wanted.count);
  Json found{{"rate", static_cast<double>(wanted.count) / seconds}, {"private_kib", private_kib_of_all()}};
  if (wants_speedup) found["speedup"] = speedup_over_one_worker(host, pool, wanted);
  std::cout << found << '\n';
}
