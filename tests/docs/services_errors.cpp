#include <iostream>
#include <pyhost/pyhost.hpp>
#include <stdexcept>

struct NoMarket : std::runtime_error {
  using std::runtime_error::runtime_error;
};

int main() {
  pyhost::Host host;
  host.services().provide("quote", [](const pyhost::Json& arguments) -> pyhost::Json {
    throw NoMarket("no quotes of " + arguments["symbol"].get<std::string>());
  });
  try {
    host.run("desk", {{"symbol", "XYZ"}});
  } catch (const NoMarket& error) {
    std::cout << "no market: " << error.what() << '\n';
  }
}
