// Lets Python code call the services.
#pragma once

#include <memory>

#include "convert/convert.hpp"
#include "services/services.hpp"

namespace pyhost::detail {

/// Lets the Python code of this interpreter call the services, through pyhost/services.py. The conversions
/// must be those of the interpreter. The caller holds the GIL.
void add_services_to_python(std::shared_ptr<Services> services, std::shared_ptr<Conversions> conversions);

}  // namespace pyhost::detail
