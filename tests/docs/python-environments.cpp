#include <iostream>
#include <pyhost/pyhost.hpp>

int main() {
  try {
    pyhost::Host host({.venv = "no/such/folder"});
  } catch (const pyhost::Error& error) {
    std::cout << to_string(error.kind()) << '\n';  // refused, and Python was not started
  }
  pyhost::Host host;
  const pyhost::Environment& python = host.environment();
  std::cout << "Python " << python.version.substr(0, 1) << '\n';
  std::cout << "virtual environment: " << (python.venv.empty() ? "none" : python.venv.string()) << '\n';
  for (const std::string& warning : python.warnings) std::cout << warning << '\n';
}
