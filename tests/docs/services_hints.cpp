#include <iostream>
#include <pyhost/pyhost.hpp>

int main() {
  pyhost::Host host;
  host.services().provide(
      "quote", [](const pyhost::Json&) -> pyhost::Json { return {{"bid", 9.5}, {"ask", 10.5}}; },
      "Bid and ask of a symbol.");
  std::cout << host.services().stubs();
}
