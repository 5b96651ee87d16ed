// pyhost map --coprocess: what runs states for an engine on another machine.
#pragma once

namespace pyhost::cli {

/// Reads an order and states from stdin, a line each, and writes an outcome for each state; docs/engines.md
/// describes the lines. Returns the exit code.
int coprocess();

}  // namespace pyhost::cli
