// JSON to Python and back. The caller holds the GIL.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "pyhost/fwd.hpp"
#include "python/python.hpp"

namespace pyhost::detail {

/// More levels of containers than this are refused, both ways and for text and Json alike.
inline constexpr int max_depth = 1000;

/// Which integers a text may hold.
enum class Integers { Any, OfJson };

/// What conversions keep from one to the next: the keys they saw, and memory that is worth keeping. One for
/// each host; a conversion that finds it in use, by another thread or further up on this one, does without.
class Conversions {
 public:
  Conversions();
  ~Conversions();
  Conversions(const Conversions&) = delete;
  Conversions& operator=(const Conversions&) = delete;

  /// A fresh dict from a JSON object, in which null counts as `{}`. Throws InvalidState with the pointer
  /// of what has no exact form in Python.
  py::object to_python(const Json& state);

  /// A fresh dict from JSON text (RFC 8259 in UTF-8), read exactly. Throws InvalidState with line and column.
  py::object to_python(std::string_view state);

  /// Any value. Throws as the others do.
  py::object value_to_python(const Json& value);

  /// A Json of its own from a Python value. Throws InvalidResult with the pointer of what has no exact
  /// form in JSON, or not in Json: an integer beyond 64 bits.
  Json to_json(PyObject* result);

  /// The same as JSON text in UTF-8 on one line. An integer may have any size, unless it must fit a Json.
  std::string to_text(PyObject* result, Integers integers = Integers::Any);

  /// Gives up the keys. Without this call they leak.
  void clear() noexcept;

 private:
  struct Cache;
  class CacheLock;
  std::unique_ptr<Cache> kept_;
};

/// The state as JSON text, for a worker that cannot share the Json. Refuses what to_python() would refuse, in
/// the same words, and buffers. Needs no GIL.
std::string state_text(const State& state);

}  // namespace pyhost::detail
