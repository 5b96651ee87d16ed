#include <iostream>
#include <pyhost/pyhost.hpp>

int main() {
  pyhost::Host host;  // starts Python, finds the modules
  host.run("mod1");   // prints: This is module1 doing its thing

  pyhost::Module summary = host.load("csv_summary");
  pyhost::Instance trips = summary.create({{"text", "city,price\nOslo,12.5\nBergen,9.0\n"}});
  pyhost::Json result = trips.run();
  std::cout << result["rows"] << '\n';  // prints: 2

  try {
    host.run("mod2");
  } catch (const pyhost::Error& error) {
    std::cout << to_string(error.kind()) << ", " << error.hint() << '\n';
  }  // prints: ModuleNotFound, did you mean 'mod1'?
}
