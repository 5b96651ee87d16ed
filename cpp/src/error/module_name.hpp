// Valid module names, and similar names.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace pyhost::detail {

/// Checks that the name is one or more ASCII identifiers joined by dots, at most 255 characters, without
/// keywords and dunders.
/// Throws: InvalidName.
void check_module_name(std::string_view name);

/// Returns why the name is invalid. Empty if it is valid.
std::string_view problem_of_name(std::string_view name);

/// Returns "did you mean 'a' or 'b'?" with up to three similar names, the closest first. Empty if no name is
/// similar. `prefix` is written before each name.
std::string did_you_mean(std::string_view name, const std::vector<std::string>& names,
                         std::string_view prefix = {});

/// Returns the name for use in a message: quoted, cut if it is too long, and with everything but printable
/// ASCII escaped.
std::string quoted_name(std::string_view name);

}  // namespace pyhost::detail
