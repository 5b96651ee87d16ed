// The first line that a coprocess reads: which module to run, and how.
#pragma once

#include <string>

#include "cli/arguments.hpp"

namespace pyhost::cli {

/// The values of the order. Where it has none, those of the options.
struct Order {
  MapArguments arguments;
  bool is_without_timeout = false;  ///< Also if the project file has one.
};

/// Reads the order from its line. Throws: UsageError, which names the key whose value cannot be used.
Order parse_order(const std::string& text, const MapArguments& given);

}  // namespace pyhost::cli
