// What Python needs to import a module at all, kept so that one module cannot take it from the next.
#pragma once

namespace pyhost::detail {

/// Keeps what the interpreter has now: builtins, sys.modules, finders, sys.path, recursion limit. Once for an
/// interpreter; later calls put back what is missing. The caller holds the GIL.
void take_interpreter_snapshot();

/// Puts back what a module took away. What it added stays, and so does what it replaced, unless nothing
/// can be done with that: a builtin function that is no longer callable. The caller holds the GIL.
void restore_interpreter_snapshot() noexcept;

}  // namespace pyhost::detail
