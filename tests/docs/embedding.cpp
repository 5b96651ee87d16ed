#include <iostream>
#include <pyhost/pyhost.hpp>

struct Order {
  int pieces;
  double each;
};
struct Quote {
  double total;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Order, pieces, each)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Quote, total)

int main() {
  pyhost::Host host;                                                         // starts Python
  std::cout << host.run("pricing", {{"pieces", 3}, {"each", 2.5}}) << '\n';  // load, create, run, close

  pyhost::Module pricing = host.load("pricing");
  pyhost::Instance tea = pricing.create(R"({"pieces": 2, "each": 1.5})");  // the state as JSON text
  tea.run();
  std::cout << tea.run<std::string>() << '\n';  // the same object again; the result as JSON text

  Quote quote = pricing.create(Order{4, 2.0}).run<Quote>();  // types of your own
  std::cout << quote.total << '\n';
}
