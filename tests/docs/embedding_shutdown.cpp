#include <iostream>
#include <pyhost/pyhost.hpp>

int main() {
  int code = 0;
  {
    pyhost::Host host;
    code = host.run("counts", {{"to", 2}}).size() == 2 ? 0 : 1;
  }
  pyhost::shut_down(code);  // the last use of Python
  std::cout << "main goes on without it\n";
  return code;
}
