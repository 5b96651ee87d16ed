// Parses an order. Its values are checked like the options of `pyhost map`.
#include "cli/coprocess_order.hpp"

#include <algorithm>
#include <cstddef>
#include <functional>
#include <map>
#include <vector>

#include "cli/errors.hpp"
#include "cli/host_options.hpp"
#include "cli/parameters.hpp"
#include "error/json_text.hpp"
#include "pyhost/json.hpp"

namespace pyhost::cli {

namespace {

std::string place_of(const std::string& key) { return "the order's '" + key + "'"; }

[[noreturn]] void refuse_value(const std::string& key, const Json& value, const std::string& wanted) {
  throw UsageError(place_of(key) + " must be " + wanted + ", not " + detail::json_text(value));
}

std::string text_from(const std::string& key, const Json& value) {
  if (!value.is_string()) refuse_value(key, value, "a string");
  return value.get<std::string>();
}

std::vector<std::string> texts_from(const std::string& key, const Json& value) {
  const auto is_string = [](const Json& each) { return each.is_string(); };
  if (!value.is_array() || !std::ranges::all_of(value, is_string))
    refuse_value(key, value, "a list of strings");
  return value.get<std::vector<std::string>>();
}

std::size_t number_from(const std::string& key, const Json& value, NumberRange range) {
  if (!value.is_number_integer() || value < range.least || value > range.most)
    refuse_value(key, value,
                 "a whole number from " + std::to_string(range.least) + " to " + std::to_string(range.most));
  return value.get<std::size_t>();
}

// Returns the value as the text of an option. A number without a unit is in seconds or bytes there, too.
std::string option_from(const Json& value) {
  const bool is_text = value.is_string() && value != "";
  return is_text ? value.get<std::string>() : detail::json_text(value);
}

std::string time_from(const std::string& key, const Json& value) {
  if (value.is_null()) return {};
  std::string time = option_from(value);
  parse_time(time, place_of(key));
  return time;
}

std::string size_from(const std::string& key, const Json& value) {
  if (value == 0) return {};
  std::string size = option_from(value);
  memory_limit(size, place_of(key));
  return size;
}

}  // namespace

Order parse_order(const std::string& text, const MapArguments& given) {
  Order order{given};
  MapArguments& to = order.arguments;
  const std::map<std::string, std::function<void(const std::string&, const Json&)>> keys{
      {"module", [&](auto& key, auto& value) { to.name = text_from(key, value); }},
      {"module_paths", [&](auto& key, auto& value) { to.host.module_paths = texts_from(key, value); }},
      {"parameters",
       [&](auto& key, auto& value) {
         to.parameters = texts_from(key, value);
         json_members(to.parameters, place_of(key));
       }},
      {"workers", [&](auto& key, auto& value) { to.workers = number_from(key, value, jobs_range); }},
      {"isolation",
       [&](auto& key, auto& value) {
         to.isolation = option_from(value);
         if (!parse_isolation(to.isolation)) refuse_value(key, value, "process, interpreter or shared");
       }},
      {"timeout",
       [&](auto& key, auto& value) {
         to.timeout = time_from(key, value);
         order.is_without_timeout = value.is_null();
       }},
      {"import_timeout", [&](auto& key, auto& value) { to.import_timeout = time_from(key, value); }},
      {"memory_limit", [&](auto& key, auto& value) { to.memory_limit = size_from(key, value); }},
      {"max_runs_per_worker",
       [&](auto& key, auto& value) {
         to.max_runs_per_worker = number_from(key, value, {0, runs_per_worker_range.most});
       }},
      {"max_resident", [&](auto& key, auto& value) { to.max_memory_per_worker = size_from(key, value); }},
      {"retries", [&](auto& key, auto& value) { to.retries = number_from(key, value, retries_range); }},
  };
  Json json;
  try {
    json = detail::parse_json(text);
  } catch (const Json::exception& wrong) {
    throw UsageError(std::string("the first line must be an order, a JSON object: ") + wrong.what());
  }
  if (!json.is_object()) throw UsageError("the first line must be an order, a JSON object, not " + text);
  for (const auto& [key, value] : json.items()) {
    if (const auto found = keys.find(key); found != keys.end()) {
      found->second(key, value);
      continue;
    }
    std::string all;
    for (const auto& known : keys) all.append(all.empty() ? "" : ", ").append(known.first);
    throw UsageError("unknown key '" + key + "' in the order; the known keys are " + all);
  }
  if (to.name.empty()) throw UsageError("the order has no 'module'");
  return order;
}

}  // namespace pyhost::cli
