// The first line that a coprocess reads: which module to run, and how.
#pragma once

#include <string>

#include "cli/arguments.hpp"

namespace pyhost::cli {

/// The arguments with the values of the order. Keys that the order does not have keep their values.
struct Order {
  MapArguments arguments;
  bool is_without_timeout = false;  ///< Whether to ignore a timeout in the project file.
};

/// Parses the line of an order. Throws: UsageError, which names the key with the invalid value.
Order parse_order(const std::string& text, const MapArguments& given);

}  // namespace pyhost::cli
