// Converts a result to a type of the application.
#include <cxxabi.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

#include "pyhost/error.hpp"
#include "pyhost/result.hpp"
#include "python/gil.hpp"

namespace pyhost::detail {

namespace {

std::string readable_name(const std::type_info& type) {
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> name(
      abi::__cxa_demangle(type.name(), nullptr, nullptr, &status), &std::free);
  std::string found = status == 0 ? name.get() : type.name();
  constexpr std::string_view string =
      "std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >";
  for (auto at = found.find(string); at != std::string::npos; at = found.find(string))
    found.replace(at, string.size(), "std::string");
  constexpr std::size_t most = 120;
  return found.size() <= most ? found : found.substr(0, most) + "…";
}

[[noreturn]] void refuse_number(const Json& json) {
  throw std::out_of_range(json.is_number() ? json.dump() + " has no exact value of this type"
                                           : "it is " + std::string(json.type_name()) + ", not a number");
}

// Removes the error number that nlohmann_json puts in brackets at the beginning.
std::string without_number(std::string message) {
  const std::size_t end = message.starts_with("[json.") ? message.find("] ") : std::string::npos;
  return end == std::string::npos ? message : message.substr(end + 2);
}

}  // namespace

void check_integer(const Json& json, bool is_signed, std::size_t bytes) {
  const std::size_t bits = 8 * bytes - (is_signed ? 1 : 0);
  const std::uint64_t most = bits == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << bits) - 1;
  bool fits = json.is_number_integer();
  if (json.is_number_unsigned()) {
    fits = json.get<std::uint64_t>() <= most;
  } else if (fits) {
    const auto value = json.get<std::int64_t>();
    // For a negative value, ~value is -value - 1, which has the same range as the values from zero on.
    fits = value >= 0 ? static_cast<std::uint64_t>(value) <= most
                      : is_signed && static_cast<std::uint64_t>(~value) <= most;
  }
  if (!fits) refuse_number(json);
}

void check_float(const Json& json, double most) {
  if (!json.is_number() || std::abs(json.get<double>()) > most) refuse_number(json);
}

void AsTyped::read(const Json& result, std::string_view subject) const {
  try {
    wait_without_gil([&] { read_(result, into_); });
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    throw Error({.kind = ErrorKind::InvalidResult,
                 .phase = Phase::Result,
                 .message = std::string(subject) + " does not fit the C++ type " + readable_name(*type_) +
                            ": " + without_number(error.what())});
  }
}

}  // namespace pyhost::detail
