// A plug-in with its own copy of pyhost. It exports only three functions.
#include <cstdio>
#include <optional>
#include <pyhost/pyhost.hpp>

namespace {

std::optional<pyhost::Host> host;

// Prints the error if the action throws one.
template <class Action>
void attempt(Action action) {
  try {
    action();
  } catch (const pyhost::Error& error) {
    std::printf("%s", error.rendered().c_str());
  }
}

}  // namespace

extern "C" __attribute__((visibility("default"))) void open_host(const char* path) {
  attempt([&] { host.emplace(pyhost::Options{.module_paths = {path}}); });
}

extern "C" __attribute__((visibility("default"))) void run_module(const char* name) {
  attempt([&] { std::puts(host->run<std::string>(name).c_str()); });
}

extern "C" __attribute__((visibility("default"))) void close_host() { host.reset(); }
