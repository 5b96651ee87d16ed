// One pool, over many small states: prints its rate, the private memory of it all, and, if asked, how many
// times it carries what a pool of one worker does, as a line of JSON.
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

Wanted wanted_by(char** words) {
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

// Of this process and its children, in KiB: what no other process shares (USS).
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
    std::ifstream children(thread.path() / "children");  // of this thread alone
    for (std::string child; children >> child;) sum += private_kib("/proc/" + child);
  }
  return sum;
}

// By turns of a few tenths of a second: a machine's speed changes within seconds, and between two programs.
double times_what_one_carries(pyhost::Host& host, pyhost::Pool& pool, const Wanted& wanted) {
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

// pool_bench LEVEL WORKERS MODULE STATE COUNT [beside-one]
int main(int count, char** words) {
  const bool beside_one = count == 7 && std::string_view(words[6]) == "beside-one";
  if (count != 6 && !beside_one) return 2;
  const Wanted wanted = wanted_by(words);
  pyhost::Host host({.module_paths = {PYHOST_BENCH_FOLDER}});
  pyhost::Pool pool(host, {.workers = wanted.workers, .isolation = wanted.isolation});
  seconds_of_all(pool, wanted, wanted.count / 10 + 1000 * wanted.workers);
  const double seconds = seconds_of_all(pool, wanted, wanted.count);
  Json found{{"rate", static_cast<double>(wanted.count) / seconds}, {"private_kib", private_kib_of_all()}};
  if (beside_one) found["beside_one"] = times_what_one_carries(host, pool, wanted);
  std::cout << found << '\n';
}
