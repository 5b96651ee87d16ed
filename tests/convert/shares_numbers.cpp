// Lends the numbers 0 to 5 to a module, and prints where in their memory what it makes of them by numpy
// begins, its strides, and whether the memory may go before and after that is given up.
#include <iostream>
#include <pyhost/pyhost.hpp>
#include <span>
#include <vector>

#include "programs.hpp"

int pyhost::test::shares_numbers(int /*argc*/, char** argv) {
  pyhost::Host host({.module_paths = {argv[1]}, .venv = argv[2]});
  const std::vector<double> numbers{0, 1, 2, 3, 4, 5};
  const pyhost::Buffer lent = pyhost::Buffer::borrow(std::span<const double>(numbers));
  {
    const pyhost::Buffer given =
        host.load("evaluates")
            .create(pyhost::State{{"first", "import numpy"}, {"give", argv[3]}}.with("numbers", lent))
            .run<pyhost::Buffer>();
    std::cout << static_cast<const double*>(given.data()) - numbers.data();
    for (const std::ptrdiff_t stride : given.layout().strides) std::cout << ' ' << stride;
    std::cout << std::boolalpha << ' ' << lent.revoke();
  }
  std::cout << ' ' << lent.revoke() << '\n';
  return 0;
}
