// Parses parameters and adds them to states.
#include "cli/parameters.hpp"

#include "cli/errors.hpp"
#include "pyhost/json.hpp"

namespace pyhost::cli {

namespace {

// Returns the value if it is JSON, otherwise the value as a JSON string.
std::string value_text(const std::string& value) {
  try {
    const Json readable = Json::parse(value);
    return value;
  } catch (const Json::out_of_range&) {
    return value;  // a number that is too large for Json, but not for JSON text
  } catch (const Json::parse_error&) {
    return Json(value).dump();
  }
}

}  // namespace

std::string json_members(const std::vector<std::string>& parameters) {
  std::string members;
  for (const std::string& parameter : parameters) {
    const std::size_t equals = parameter.find('=');
    if (equals == std::string::npos || equals == 0) {
      throw UsageError("-p takes key=value, and got '" + parameter + "'");
    }
    try {
      members += (members.empty() ? "" : ",") + Json(parameter.substr(0, equals)).dump() + ":" +
                 value_text(parameter.substr(equals + 1));
    } catch (const Json::exception&) {
      throw UsageError("a parameter is not valid UTF-8");
    }
  }
  return members;
}

std::string add_members(std::string state, const std::string& members) {
  if (members.empty()) return state;
  const std::size_t end = state.find_last_not_of(" \t\r\n");
  if (end == std::string::npos || state[end] != '}') return state;
  const std::size_t before = end == 0 ? std::string::npos : state.find_last_not_of(" \t\r\n", end - 1);
  const bool empty = before != std::string::npos && state[before] == '{';
  return state.substr(0, end) + (empty ? "" : ",") + members + state.substr(end);
}

}  // namespace pyhost::cli
