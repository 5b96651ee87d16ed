// Saves the state of the interpreter that imports depend on, so that one module cannot break it for the next.
#pragma once

namespace pyhost::detail {

/// Saves builtins, sys.modules, the finders, sys.path and the recursion limit. If the interpreter has a
/// snapshot already, restores it instead. The caller holds the GIL.
void take_interpreter_snapshot();

/// Restores what a module removed. What the module added or replaced stays, except a replacement that cannot
/// be called although the original could. The caller holds the GIL.
void restore_interpreter_snapshot() noexcept;

}  // namespace pyhost::detail
