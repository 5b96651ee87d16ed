#include <iostream>
#include <pyhost/pyhost.hpp>
#include <stdexcept>

struct NoMarket : std::runtime_error {
  using std::runtime_error::runtime_error;
};

pyhost::Json quote(const pyhost::Json& asked) {
  if (asked["symbol"] == "ABC") return {{"bid", 9.5}, {"ask", 10.5}};
  throw NoMarket("nobody trades " + asked["symbol"].get<std::string>());
}

int main() {
  pyhost::Host host;
  host.services().provide("quote", quote, "Bid and ask of a symbol.");

  std::cout << host.run("desk", {{"symbol", "ABC"}}) << '\n';
  try {
    host.run("desk", {{"symbol", "XYZ"}});
  } catch (const NoMarket& error) {
    std::cout << "no market: " << error.what() << '\n';
  }
  std::cout << host.services().stubs();
}
