// Each service takes one dict or keyword arguments.
#include "services/service_stubs.hpp"

#include "error/json_text.hpp"
#include "pyhost/json.hpp"

namespace pyhost::detail {

std::string service_stubs(const std::vector<std::pair<std::string, std::string>>& services) {
  std::string text = "# The services that `from pyhost import services` provides.\n";
  if (services.empty()) return text + "# This host provides no services.\n";
  // Services cannot have these names, so a service called dict does not hide them.
  text += "from builtins import dict as _dict, str as _str\n";
  text += "from typing import Any as _Any, overload as _overload\n";
  for (const auto& [name, doc] : services) {
    std::string line;
    if (!doc.empty()) {
      // A JSON string is a Python string, whatever is in it.
      line = "\n    " + json_text_with_replacements(doc) + "\n   ";
    }
    text += "\n@_overload\ndef " + name + "(arguments: _dict[_str, _Any], /) -> _Any:" + line + " ...\n";
    text += "@_overload\ndef " + name + "(**arguments: _Any) -> _Any: ...\n";
  }
  return text;
}

}  // namespace pyhost::detail
