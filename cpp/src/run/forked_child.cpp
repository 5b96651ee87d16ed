// Ends a forked process without returning to the application.
#include "run/forked_child.hpp"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "interpreter/output.hpp"
#include "python/gil.hpp"

namespace pyhost::detail {

void end_forked_child(const Error* error) noexcept {
  int status = error == nullptr ? EXIT_SUCCESS : EXIT_FAILURE;
  try {
    const GilAcquire gil;
    flush_output();
  } catch (const Error&) {
    // Python cannot be entered, so there is nothing to flush.
  }
  if (error != nullptr && error->exception().type == "SystemExit") {
    const std::string& message = error->exception().message;
    const bool is_number = message.find_first_not_of("0123456789") == std::string::npos;
    if (is_number) status = std::atoi(message.c_str());
    if (!is_number) std::fprintf(stderr, "%s\n", message.c_str());
  } else if (error != nullptr) {
    std::fprintf(stderr, "error: %s", error->rendered().c_str());
  }
  std::fflush(stderr);
  _exit(status);
}

}  // namespace pyhost::detail
