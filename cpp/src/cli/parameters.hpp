// The parameters of -p key=value, which are added to a state.
#pragma once

#include <string>
#include <vector>

namespace pyhost::cli {

/// Returns the parameters as the members of a JSON object, without its braces. Throws: UsageError if one is
/// not key=value; the message names `option`.
std::string json_members(const std::vector<std::string>& parameters, const std::string& option = "-p");

/// Adds the members to the end of the state's text, and leaves the rest of it unchanged. If two members have
/// the same key, the last one wins. A text that does not end with a brace is returned unchanged: the host
/// refuses it later, with line and column.
std::string add_members(std::string state, const std::string& members);

}  // namespace pyhost::cli
