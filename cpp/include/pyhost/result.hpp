// The types that a result can be asked for as: run<Json>(), run<std::string>(), run<Buffer>(),
// run<YourType>().
#pragma once

#include <concepts>
#include <cstddef>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <variant>

#include "pyhost/buffer.hpp"
#include "pyhost/json.hpp"

namespace pyhost {

/// A type that nlohmann_json converts from JSON, for example by NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE.
template <class T>
concept FromJson = std::move_constructible<T> && !std::is_pointer_v<T> &&
                   !std::same_as<T, nlohmann::ordered_json> && !JsonText<T> && requires(const Json& json) {
                     { json.template get<T>() } -> std::same_as<T>;
                   };

/// What a result can become:
/// - Json. An integer beyond 64 bits is an InvalidResult.
/// - std::string: JSON text in UTF-8 on one line. It has integers of any size exactly, up to the digits that
///   Python's `sys.set_int_max_str_digits` allows, and keys in Python's order.
/// - Buffer: the memory of bytes, a bytearray, a memoryview or an array, without a copy.
/// - Any type that nlohmann_json converts from JSON. What does not fit is an InvalidResult that names it.
///   A result that is a number must fit exactly. Numbers within a larger type are converted by nlohmann_json,
///   which does not check their range.
template <class T>
concept ResultType =
    std::same_as<T, Json> || std::same_as<T, std::string> || std::same_as<T, Buffer> || FromJson<T>;

/// What a result that is JSON can become: all but a Buffer.
template <class T>
concept JsonResultType = ResultType<T> && !std::same_as<T, Buffer>;

namespace detail {

struct AsJson {
  using Result = Json;
};
struct AsText {
  using Result = std::string;
};
/// JSON text of what fits a Json.
struct AsJsonText {
  using Result = std::string;
};
struct AsBuffer {
  using Result = Buffer;
};

/// Throws std::out_of_range if the value is not a number of this range.
void check_integer(const Json& json, bool is_signed, std::size_t bytes);
void check_float(const Json& json, double most);

template <class T>
void check_number(const Json& json) {
  if constexpr (std::integral<T> && !std::same_as<T, bool>)
    check_integer(json, std::is_signed_v<T>, sizeof(T));
  if constexpr (std::floating_point<T>) check_float(json, static_cast<double>(std::numeric_limits<T>::max()));
}

/// Reads a result of the application's own type, as a part of the run, so that its errors are the run's.
class AsTyped {
 public:
  using Result = std::monostate;

  template <class T>
  explicit AsTyped(std::optional<T>& into)
      : into_(&into), type_(&typeid(T)), read_([](const Json& json, void* to) {
          check_number<T>(json);
          static_cast<std::optional<T>*>(to)->emplace(json.get<T>());
        }) {}

  /// Calls the application's `from_json` without the GIL.
  /// Throws: Error of the kind InvalidResult if the value, which `subject` names, does not fit the type.
  void read(const Json& result, std::string_view subject = "the result") const;

 private:
  void* into_;
  const std::type_info* type_;
  void (*read_)(const Json&, void*);
};

/// Whether results are read as a type of the application's own.
template <ResultType R>
inline constexpr bool is_typed =
    !std::same_as<R, Json> && !std::same_as<R, std::string> && !std::same_as<R, Buffer>;

template <ResultType R>
using As = std::conditional_t<std::same_as<R, Json>, AsJson,
                              std::conditional_t<std::same_as<R, std::string>, AsText, AsBuffer>>;

/// Calls `get` with the way in which the result is wanted, and returns the result.
template <ResultType R, class Get>
R get_as(Get get) {
  if constexpr (is_typed<R>) {
    std::optional<R> result;
    get(AsTyped(result));
    return *std::move(result);
  } else {
    return get(As<R>());
  }
}

}  // namespace detail

}  // namespace pyhost
