// The host program for tests with faults. Runs one module, and then the module `good` in the same host or
// pool. Prints the outcome of each to its original stdout, even if a module closes or redirects stdout.
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <functional>
#include <iterator>
#include <optional>
#include <pyhost/pyhost.hpp>
#include <string>

#include "programs.hpp"

namespace {

std::string state_text(const std::string& given) {
  if (!given.starts_with('@')) return given;
  std::ifstream stream(given.substr(1), std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

// The outcome in one line: {"ok":true,"result":…} or {"ok":false,"type":…,…}.
std::string verdict(const std::function<std::string()>& run) {
  try {
    return R"({"ok":true,"result":)" + run() + "}";
  } catch (const pyhost::Error& error) {
    const std::string& type = error.exception().type;
    const pyhost::Json said{{"ok", false},
                            {"type", type.empty() ? std::string(to_string(error.kind())) : type},
                            {"message", error.what()}};
    return said.dump(-1, ' ', false, pyhost::Json::error_handler_t::replace);
  }
}

void say(int to, const std::string& tag, const std::string& text) {
  const std::string line = tag + " " + text + "\n";
  for (std::string_view rest = line; !rest.empty();) {
    const ssize_t written = write(to, rest.data(), rest.size());
    if (written <= 0) return;
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
}

// Returns a descriptor for verdicts only. Redirects stdout to stderr, so that no output of a module can be
// taken for a verdict. Stdin becomes empty, as it is for a system service.
int take_stdout() {
  constexpr int out_of_reach = 1000;  // so that a loop that closes low descriptors does not reach it
  const int to = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, out_of_reach);
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  dup2(null, STDIN_FILENO);
  if (fcntl(STDERR_FILENO, F_GETFD) < 0) dup2(null, STDERR_FILENO);
  dup2(STDERR_FILENO, STDOUT_FILENO);
  if (null > STDERR_FILENO) close(null);
  return to;
}

}  // namespace

int pyhost::test::fault_host(int argc, char** argv) {
  if (argc != 5 && argc != 6) {
    std::fprintf(stderr, "usage: fault_host host|process ROOT NAME STATE [MILLISECONDS]\n");
    return 2;
  }
  const std::string level = argv[1], name = argv[3], good = R"({"a":1,"b":2})";
  std::optional<std::chrono::milliseconds> timeout;
  if (argc == 6) timeout = std::chrono::milliseconds(std::stol(argv[5]));
  const int to = take_stdout();
  try {
    pyhost::Host host({.module_paths = {argv[2]}});
    const std::string state = state_text(argv[4]);
    if (level == "process") {
      pyhost::Pool pool(host, {.workers = 1, .isolation = pyhost::Isolation::Process});
      say(to, "@@R",
          verdict([&] { return pool.submit<std::string>(name, state, {.timeout = timeout}).get(); }));
      say(to, "@@C", verdict([&] { return pool.submit<std::string>("good", good).get(); }));
    } else {
      say(to, "@@R", verdict([&] { return host.run<std::string>(name, state, {.timeout = timeout}); }));
      say(to, "@@C", verdict([&] { return host.run<std::string>("good", good); }));
    }
  } catch (const pyhost::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 70;
  }
  return 0;
}
