// JSON to Python and back. The caller holds the GIL.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "pyhost/fwd.hpp"
#include "python/python.hpp"

namespace pyhost::detail {

/// The maximum nesting depth, in both directions, for JSON text and Json.
inline constexpr int max_depth = 1000;

/// Which integers JSON text may contain: any, or only those that fit into Json.
enum class Integers { Any, OfJson };

/// Converts between JSON and Python objects. Each host has one, which caches keys and buffers between
/// conversions. If the cache is in use, by another thread or by an outer conversion on this thread, a
/// conversion runs without it.
class Conversions {
 public:
  Conversions();
  ~Conversions();
  Conversions(const Conversions&) = delete;
  Conversions& operator=(const Conversions&) = delete;

  /// Returns a new dict from a JSON object; null means `{}`.
  /// Throws: InvalidState, with the JSON pointer of a value that Python cannot represent exactly.
  py::object to_python(const Json& state);

  /// Returns a new dict from JSON text (RFC 8259 in UTF-8), without loss.
  /// Throws: InvalidState, with line and column.
  py::object to_python(std::string_view state);

  /// Returns the Python object for any JSON value.
  /// Throws: InvalidState.
  py::object value_to_python(const Json& value);

  /// Returns a Json that shares nothing with the Python value.
  /// Throws: InvalidResult, with the JSON pointer of a value that Json cannot represent exactly, such as an
  /// integer beyond 64 bits.
  Json to_json(PyObject* result);

  /// Returns the value as JSON text, UTF-8 on one line.
  /// Throws: InvalidResult, as to_json() does. Integers may have any size, unless `integers` is OfJson.
  std::string to_text(PyObject* result, Integers integers = Integers::Any);

  /// Releases the cached keys. Without this call they leak.
  void clear() noexcept;

 private:
  struct Cache;
  class CacheLock;
  std::unique_ptr<Cache> cache_;
};

/// Returns the state as JSON text, for a worker in another process. Does not need the GIL.
/// Throws: InvalidState for the same values as to_python(), with the same messages, and for buffers.
std::string state_text(const State& state);

}  // namespace pyhost::detail
