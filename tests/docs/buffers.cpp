#include <iostream>
#include <pyhost/pyhost.hpp>

int main() {
  pyhost::Host host;
  pyhost::Module smooth = host.load("smooth");

  std::vector<double> prices{1, 2, 6, 3};
  const pyhost::Buffer lent = pyhost::Buffer::borrow(std::span<const double>(prices));
  {
    const pyhost::Instance instance = smooth.create(pyhost::State{{"width", 2}}.with("prices", lent));
    const pyhost::Buffer result = instance.run<pyhost::Buffer>();
    for (const double value : result.as<double>()) std::cout << value << ' ';
    std::cout << '\n';
  }
  std::cout << std::boolalpha << lent.revoke() << '\n';  // prices may go now
}
