#include <iostream>
#include <pyhost/pyhost.hpp>

int main() {
  using namespace std::chrono_literals;
  pyhost::Host host;
  std::stop_source stop;
  pyhost::Scheduler scheduler(
      host, {
                .entries = {{.name = "ada", .module = "greeting", .state = {{"name", "Ada"}}, .every = 1s}},
                .history = "greetings.db",
                .on_event =
                    [&stop](const pyhost::ScheduleEvent& event) {
                      using enum pyhost::ScheduleEventKind;
                      if (event.kind != Succeeded && event.kind != Failed) return;
                      std::cout << event.entry << ": " << to_string(event.kind) << '\n';
                      stop.request_stop();
                    },
                .on_error = [](const pyhost::Error& error) { std::cerr << error.what() << '\n'; },
            });
  for (const auto& each : scheduler.entries().entries)
    std::cout << each.entry.name << ", " << each.when << '\n';
  scheduler.run(stop.get_token());
}
