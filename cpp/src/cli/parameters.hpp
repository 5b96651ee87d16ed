// -p key=value: members that are added to a state.
#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace pyhost::cli {

/// Adds -p/--param, which adds to what `state` says.
void add_parameters(CLI::App& command, std::vector<std::string>& parameters, const std::string& state);

/// Their JSON text without the braces. Throws UsageError for what is no key=value.
std::string members_of(const std::vector<std::string>& parameters);

/// Members are added to the text of the state, not to a Json made of it, so that the rest of the text stays
/// exactly as it was given. Of two members with one key the last one counts. If the text is no JSON object,
/// what comes out is none either, and is refused with the line and column of the fault.
std::string with_members(std::string state, const std::string& members);

}  // namespace pyhost::cli
