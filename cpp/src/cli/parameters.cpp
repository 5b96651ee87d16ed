// Parses parameters and adds them to states.
#include "cli/parameters.hpp"

#include "cli/errors.hpp"
#include "cli/json_text.hpp"

namespace pyhost::cli {

std::string json_members(const std::vector<std::string>& parameters, const std::string& option) {
  std::string members;
  for (const std::string& parameter : parameters) {
    const std::size_t equals = parameter.find('=');
    if (equals == std::string::npos || equals == 0) {
      throw UsageError(option + " must be key=value, not '" + parameter + "'");
    }
    const auto member = json_member(parameter.substr(0, equals), parameter.substr(equals + 1));
    if (!member) throw UsageError("a parameter is not valid UTF-8");
    members += (members.empty() ? "" : ",") + *member;
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
