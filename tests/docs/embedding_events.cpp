#include <atomic>
#include <chrono>
#include <iostream>
#include <pyhost/pyhost.hpp>
#include <thread>

using namespace std::chrono_literals;

int main() {
  std::atomic<pyhost::RunId> started = 0;
  pyhost::Options options;
  options.callbacks.on_event = [&](const pyhost::Event& event) {
    if (event.kind == pyhost::EventKind::RunStarted) started = event.run;
    std::cout << to_string(event.kind) << ' ' << event.module << std::endl;
  };
  pyhost::Host host(options);
  host.load("waits");
  try {
    host.run("waits", {}, {.timeout = 1s});
  } catch (const pyhost::Error& error) {
    std::cout << to_string(error.kind()) << std::endl;
  }
  std::thread another([&] {
    while (!host.cancel(started)) std::this_thread::sleep_for(1ms);
  });
  try {
    host.run("waits");
  } catch (const pyhost::Error& error) {
    std::cout << to_string(error.kind()) << std::endl;
  }
  another.join();
  host.unload("waits");  // the next load reads modules/waits.py again
}
