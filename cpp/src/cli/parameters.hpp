// The parameters of -p key=value, which are added to a state.
#pragma once

#include <string>
#include <vector>

namespace pyhost::cli {

/// Returns the parameters as the members of a JSON object, without its braces. Throws: UsageError if one is
/// not key=value; `option` is the place of them all in its message.
std::string json_members(const std::vector<std::string>& parameters, const std::string& option = "-p");

/// Returns the state with the members added. They are added to the text, so that the rest of it stays exactly
/// as it was given. If two members have the same key, the last one wins. If the text is not a JSON object,
/// the result is not one either, and the host refuses it with line and column.
std::string add_members(std::string state, const std::string& members);

}  // namespace pyhost::cli
