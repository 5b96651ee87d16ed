#include <iostream>
#include <pyhost/pyhost.hpp>

int main() {
  pyhost::Options options;
  options.callbacks.on_error = [](const pyhost::Error& error) {
    std::cout << "on_error: " << error.module() << ", " << to_string(error.kind()) << std::endl;
  };
  pyhost::Host host(options);
  try {
    host.run("divide", {{"a", 1}, {"b", 0}});
  } catch (const pyhost::Error& error) {
    std::cout << error.message() << std::endl;
    std::cout << error.exception().type << " in line " << error.place().line << std::endl;
  }
}
