// The parts of a host that pools need in other interpreters and processes.
#pragma once

#include <filesystem>
#include <vector>

#include "pyhost/environment.hpp"
#include "pyhost/options.hpp"
#include "run/handle_data.hpp"
#include "services/logging.hpp"
#include "services/redirection.hpp"
#include "services/services.hpp"

namespace pyhost::detail {

/// Valid for as long as the host is open.
struct HostInternals {
  const Options& options;
  const std::vector<std::filesystem::path>& paths;
  const Environment& environment;
  HostState& host_state;
  Services& services;
  OutputSink& output;
  Logging* logging;  ///< Null without on_log.
};

}  // namespace pyhost::detail
