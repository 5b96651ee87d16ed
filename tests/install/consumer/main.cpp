#include <iostream>
#include <pyhost/pyhost.hpp>

int main() {
  pyhost::Host host;  // starts Python and finds ./modules
  try {
    pyhost::Json result = host.run("shout", {{"text", "hello"}});
    std::cout << result["text"] << '\n';  // prints "HELLO"
    host.run("shout");                    // the state has no text
  } catch (const pyhost::Error& error) {
    std::cerr << error.rendered();
  }
}
