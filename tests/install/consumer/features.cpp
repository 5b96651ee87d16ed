// Uses features that need pyhost's Python files and worker program: services, logs and a worker process. The
// first argument is a module path. An optional second one is the value of PythonOptions::python_modules.
#include <atomic>
#include <iostream>
#include <pyhost/pyhost.hpp>

int main(int argc, char** argv) {
  try {
    std::atomic<int> logged = 0;
    pyhost::Host host({.module_paths = {argv[1]},
                       .python = {.python_modules = argc > 2 ? argv[2] : ""},
                       .logging = {.on_log = [&](const pyhost::LogRecord&) { ++logged; }}});
    host.services().provide("who", [](const pyhost::Json&) { return pyhost::Json("C++"); });
    std::cout << host.run("uses_all") << '\n';
    host.logs().flush();
    pyhost::Pool pool(host, {.workers = 1, .isolation = pyhost::Isolation::Process});
    std::cout << pool.submit("names_its_program").get().get<std::string>() << '\n';
    std::cout << logged << '\n';
  } catch (const pyhost::Error& error) {
    std::cout << to_string(error.kind()) << ": " << error.what() << '\n';
    return 1;
  }
}
