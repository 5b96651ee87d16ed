// pyhost map --coprocess: what runs states for an engine on another machine.
#pragma once

namespace pyhost::cli {

struct MapArguments;

/// Reads an order and states from stdin, a line each, and writes an outcome for each state; docs/engines.md
/// describes the lines. The arguments hold where the order says nothing else. Returns the exit code.
int coprocess(const MapArguments& arguments);

}  // namespace pyhost::cli
