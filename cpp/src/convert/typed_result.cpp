// Reads a result as a type of the application's own.
#include <cxxabi.h>

#include <cstdlib>
#include <exception>
#include <memory>
#include <string>

#include "pyhost/error.hpp"
#include "pyhost/result.hpp"

namespace pyhost::detail {

namespace {

std::string readable_name(const std::type_info& type) {
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> name(
      abi::__cxa_demangle(type.name(), nullptr, nullptr, &status), &std::free);
  return status == 0 ? name.get() : type.name();
}

// nlohmann_json puts the number of its error in brackets in front.
std::string without_number(std::string message) {
  const std::size_t end = message.starts_with("[json.") ? message.find("] ") : std::string::npos;
  return end == std::string::npos ? message : message.substr(end + 2);
}

}  // namespace

void AsTyped::read(const Json& result) const {
  try {
    read_(result, into_);
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    throw Error(
        {.kind = ErrorKind::InvalidResult,
         .phase = Phase::Result,
         .message = "the result is not a " + readable_name(*type_) + ": " + without_number(error.what())});
  }
}

}  // namespace pyhost::detail
