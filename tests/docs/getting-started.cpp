// main.cpp
#include <iostream>
#include <pyhost/pyhost.hpp>

int main() {
  try {
    pyhost::Host host;  // starts Python, and finds ./modules
    const pyhost::Json result = host.run("shout", {{"text", "hello"}});
    std::cout << result["text"] << std::endl;

    host.run("shout");  // the state has no "text"
  } catch (const pyhost::Error& error) {
    std::cout << to_string(error.kind()) << ": " << error.message() << std::endl;
  }
}
