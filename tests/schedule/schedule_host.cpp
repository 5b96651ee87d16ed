// schedule_host MODULES FROM LEASE WORKERS [NAME=URL …]: runs a schedule until SIGTERM, and prints each event
// as a line of JSON. FROM is a TOML file or connection:NAME. LEASE is in milliseconds. Each NAME=URL is a
// connection.
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <pyhost/pyhost.hpp>
#include <stop_token>
#include <string>
#include <thread>

#include "programs.hpp"

int pyhost::test::schedule_host(int argc, char** argv) {
  if (argc < 5) return 2;
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &ends, nullptr);
  pyhost::Options options{.module_paths = {argv[1]}};
  for (int i = 5; i < argc; ++i) {
    const std::string given = argv[i];
    const std::size_t end = given.find('=');
    options.connections.emplace(given.substr(0, end), given.substr(end + 1));
  }
  pyhost::Host host(options);
  pyhost::SchedulerOptions schedule{.from = argv[2]};
  schedule.lease = std::chrono::milliseconds(std::stol(argv[3]));
  schedule.pool.workers = std::stoul(argv[4]);
  schedule.on_event = [](const pyhost::ScheduleEvent& event) {
    const pyhost::Json line{{"event", to_string(event.kind)},
                            {"entry", event.entry},
                            {"due", event.due.time_since_epoch().count()},
                            {"attempt", event.attempt},
                            {"message", event.message}};
    std::printf("%s\n", line.dump().c_str());
    std::fflush(stdout);
  };
  schedule.on_error = [](const pyhost::Error& error) { std::fprintf(stderr, "%s\n", error.what()); };
  pyhost::Scheduler scheduler(host, schedule);
  std::stop_source stop;
  std::thread signals([&] {
    int signal = 0;
    sigwait(&ends, &signal);
    stop.request_stop();
  });
  int code = 0;
  try {
    scheduler.run(stop.get_token());
  } catch (const pyhost::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    code = 1;
    kill(getpid(), SIGTERM);
  }
  signals.join();
  return code;
}
