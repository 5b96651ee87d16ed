// Reads parameters, and writes them into states.
#include "cli/parameters.hpp"

#include <CLI/CLI.hpp>

#include "cli/errors.hpp"
#include "pyhost/json.hpp"

namespace pyhost::cli {

namespace {

// A parameter's value is JSON if it can be read as such, else a string.
std::string value_text(const std::string& value) {
  try {
    const Json readable = Json::parse(value);
    return value;
  } catch (const Json::out_of_range&) {
    return value;  // a number that Json cannot hold: the text can
  } catch (const Json::parse_error&) {
    return Json(value).dump();
  }
}

}  // namespace

void add_parameters(CLI::App& command, std::vector<std::string>& parameters, const std::string& state) {
  command.add_option("-p,--param", parameters, "key=value added to " + state + "; JSON, else a string")
      ->allow_extra_args(false);
}

std::string members_of(const std::vector<std::string>& parameters) {
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

std::string with_members(std::string state, const std::string& members) {
  if (members.empty()) return state;
  const std::size_t end = state.find_last_not_of(" \t\r\n");
  if (end == std::string::npos || state[end] != '}') return state;
  const std::size_t before = end == 0 ? std::string::npos : state.find_last_not_of(" \t\r\n", end - 1);
  const bool empty = before != std::string::npos && state[before] == '{';
  return state.substr(0, end) + (empty ? "" : ",") + members + state.substr(end);
}

}  // namespace pyhost::cli
