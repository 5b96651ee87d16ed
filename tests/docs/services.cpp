#include <iostream>
#include <pyhost/pyhost.hpp>

int main() {
  pyhost::Host host;
  host.services().provide("quote", [](const pyhost::Json& arguments) -> pyhost::Json {
    return {{"symbol", arguments["symbol"]}, {"bid", 9.5}, {"ask", 10.5}};
  });
  std::cout << host.run("desk", {{"symbol", "ABC"}}) << '\n';
}
