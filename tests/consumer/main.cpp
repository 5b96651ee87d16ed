#include <iostream>
#include <pyhost/pyhost.hpp>

int main() {
  pyhost::Host host;  // starts Python, finds the modules
  host.run("mod1");   // prints: This is module1 doing its thing

  pyhost::Module portfolio = host.load("portfolio");
  pyhost::Json state{{"base", "EUR"}, {"positions", {{{"symbol", "ACME"}, {"quantity", 3}, {"price", 12.5}}}}};
  pyhost::Json value = portfolio.create(state).run();
  std::cout << value["total"] << '\n';  // prints: "37.50"

  try {
    host.run("mod2");
  } catch (const pyhost::Error& error) {
    std::cout << to_string(error.kind()) << ": " << error.hint() << '\n';  // prints: ModuleNotFound: did you mean 'mod1'?
  }
}
