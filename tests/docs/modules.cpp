#include <iostream>
#include <pyhost/pyhost.hpp>

int main() {
  pyhost::Host host;
  for (const pyhost::Json& item : host.stream("counts", {{"to", 1000}})) {
    std::cout << item << '\n';
    if (item["i"] == 2) break;  // closes the generator: its finally blocks run
  }
  std::cout << host.run("counts", {{"to", 2}}) << '\n';  // all of it, as an array

  pyhost::Instance orders = host.load("orders").create({{"item", "tea"}, {"pieces", 3}});
  std::cout << orders.run() << ' ' << orders.state()["taken"] << '\n';
}
