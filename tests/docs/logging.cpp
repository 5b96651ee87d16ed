#include <iostream>
#include <pyhost/pyhost.hpp>

int main() {
  pyhost::Options options;
  options.logging.level = pyhost::LogLevel::Info;
  options.logging.on_log = [](const pyhost::LogRecord& record) {
    std::cout << record.module << ' ' << to_string(record.level) << ": " << record.message;
    std::cout << ' ' << record.fields << '\n';
  };
  pyhost::Host host(options);
  host.run("orders", {{"item", "apples"}});
}
