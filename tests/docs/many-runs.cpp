#include <iostream>
#include <pyhost/pyhost.hpp>

int main() {
  using namespace std::chrono_literals;
  pyhost::Host host;
  pyhost::Pool pool(host, {.workers = 2, .timeout = 10s});

  std::future<pyhost::Json> quote = pool.submit("price", {{"pieces", 3}, {"each", 2.5}});
  std::cout << quote.get() << '\n';  // throws the Error of a run that failed

  const std::vector<std::string> orders{R"({"pieces":1,"each":4})", R"({"pieces":"two","each":4})",
                                        R"({"pieces":3,"each":4})"};
  for (const pyhost::Outcome& outcome : pool.map("price", orders)) {
    std::cout << outcome.index << ' ' << (outcome.ok() ? *outcome.text : outcome.error->message()) << '\n';
  }
}
