#include <iostream>
#include <pyhost/pyhost.hpp>

int main() {
  pyhost::Host host({.connections = {{"stock", "sqlite:///stock.db"}}, .store = "visits.db"});
  for (int i = 0; i < 2; ++i) std::cout << host.run("visits") << '\n';
}
