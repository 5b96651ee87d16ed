// Lends the numbers 0 to 5 to a module that returns a numpy view of them. Prints the offset of the view in
// their memory, its strides, and the results of revoke() while the view exists and after it is destroyed.
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
