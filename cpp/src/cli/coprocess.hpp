// pyhost map --coprocess: runs states for an engine, on another machine.
#pragma once

namespace pyhost::cli {

struct MapArguments;

/// Reads an order and states from stdin, a line each, and writes an outcome for each state. docs/engines.md
/// describes the lines. Keys of the order override the arguments. Returns the exit code.
int coprocess(const MapArguments& arguments);

}  // namespace pyhost::cli
