// answers_texts FIXTURES: reads states as JSON text from stdin, each after a line with its size. Answers each
// with a line "ok SIZE" and the result of the fixture module shows_its_state, or with "no SIZE" and the error
// message.
#include <iostream>
#include <pyhost/pyhost.hpp>
#include <string>

#include "programs.hpp"

namespace {

void answer(const char* verdict, const std::string& text) {
  std::cout << verdict << ' ' << text.size() << '\n' << text << std::flush;
}

}  // namespace

int pyhost::test::answers_texts(int argc, char** argv) {
  if (argc != 2) return 2;
  pyhost::Host host({.module_paths = {argv[1]}});
  const pyhost::Module module = host.load("shows_its_state");
  for (std::string line; std::getline(std::cin, line);) {
    std::string text(std::stoul(line), '\0');
    std::cin.read(text.data(), static_cast<std::streamsize>(text.size()));
    try {
      answer("ok", module.create(text).run<std::string>());
    } catch (const pyhost::Error& error) {
      answer("no", error.what());
    }
  }
  return 0;
}
