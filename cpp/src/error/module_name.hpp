// What can be a module's name, and which names are like another.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace pyhost::detail {

/// Throws InvalidName unless the name is one or more ASCII identifiers joined by dots, none of them a
/// keyword or a dunder, 255 characters at most.
void check_module_name(std::string_view name);

/// Why it is none; empty if it is one.
std::string_view problem_of_name(std::string_view name);

/// Returns "did you mean 'a' or 'b'?" with up to three of the names that differ from this one by little, the
/// closest first; empty if there is none. `prefix` is written before each.
std::string did_you_mean(std::string_view name, const std::vector<std::string>& names,
                         std::string_view prefix = {});

/// A name as it may stand in a message: short, and nothing in it that a terminal would obey.
std::string quoted_name(std::string_view name);

}  // namespace pyhost::detail
