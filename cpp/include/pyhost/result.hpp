// The types of results: run<Json>(), run<std::string>(), run<Buffer>() and run<YourType>().
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

/// A type that nlohmann_json can convert from JSON, for example through NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE.
template <class T>
concept FromJson = std::move_constructible<T> && !std::is_pointer_v<T> &&
                   !std::same_as<T, nlohmann::ordered_json> && !JsonText<T> && requires(const Json& json) {
                     { json.template get<T>() } -> std::same_as<T>;
                   };

/// A type in which a result can be returned:
/// - Json: integers beyond 64 bits throw InvalidResult.
/// - std::string: JSON text in UTF-8 on one line. Integers of any size are exact, up to the number of digits
///   that Python's `sys.set_int_max_str_digits` allows, and keys are in Python's order.
/// - Buffer: the memory of bytes, a bytearray, a memoryview or an array, without a copy.
/// - Any type that nlohmann_json can convert from JSON. Values that do not fit throw InvalidResult. If the
///   type is a number, the result must fit exactly. Numbers inside a larger type are converted by
///   nlohmann_json, which does not check their range.
template <class T>
concept ResultType =
    std::same_as<T, Json> || std::same_as<T, std::string> || std::same_as<T, Buffer> || FromJson<T>;

/// A ResultType other than Buffer.
template <class T>
concept JsonResultType = ResultType<T> && !std::same_as<T, Buffer>;

namespace detail {

struct AsJson {
  using Result = Json;
};
struct AsText {
  using Result = std::string;
};
/// JSON text of a result that also fits into a Json.
struct AsJsonText {
  using Result = std::string;
};
struct AsBuffer {
  using Result = Buffer;
};

/// Throws std::out_of_range if the value is not a number in the range of the type.
void check_integer(const Json& json, bool is_signed, std::size_t bytes);
void check_float(const Json& json, double most);

template <class T>
void check_number(const Json& json) {
  if constexpr (std::integral<T> && !std::same_as<T, bool>)
    check_integer(json, std::is_signed_v<T>, sizeof(T));
  if constexpr (std::floating_point<T>) check_float(json, static_cast<double>(std::numeric_limits<T>::max()));
}

/// Reads a result into the application's own type. This is part of the run, so its errors are errors of the
/// run.
class AsTyped {
 public:
  using Result = std::monostate;

  template <class T>
  explicit AsTyped(std::optional<T>& into)
      : into_(&into), type_(&typeid(T)), read_([](const Json& json, void* to) {
          check_number<T>(json);
          static_cast<std::optional<T>*>(to)->emplace(json.get<T>());
        }) {}

  /// Calls the application's `from_json` without the GIL. `subject` names the value in error messages.
  /// Throws: InvalidResult if the value does not fit the type.
  void read(const Json& result, std::string_view subject = "the result") const;

 private:
  void* into_;
  const std::type_info* type_;
  void (*read_)(const Json&, void*);
};

/// Whether R is a type of the application.
template <ResultType R>
inline constexpr bool is_typed =
    !std::same_as<R, Json> && !std::same_as<R, std::string> && !std::same_as<R, Buffer>;

template <ResultType R>
using As = std::conditional_t<std::same_as<R, Json>, AsJson,
                              std::conditional_t<std::same_as<R, std::string>, AsText, AsBuffer>>;

/// Calls `get` with the tag for R, and returns the result as R.
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
