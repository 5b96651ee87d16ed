// The stub file of the services, for type checkers and editors.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace pyhost::detail {

/// Returns a .pyi of the Python module pyhost.services. Each service is a pair of its name and its
/// documentation.
std::string service_stubs(const std::vector<std::pair<std::string, std::string>>& services);

}  // namespace pyhost::detail
