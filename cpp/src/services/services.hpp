// What a module may ask of its host, and how the answer comes to it.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "convert/convert.hpp"
#include "pyhost/service.hpp"

namespace pyhost::detail {

/// The services of a host, by name. Any thread may do anything here, with the GIL or without.
class Services {
 public:
  Services() = default;
  Services(const Services&) = delete;
  Services& operator=(const Services&) = delete;

  /// Throws InvalidName. Of one that this replaces, it waits for the calls as withdraw() does.
  void provide(std::string_view name, Service function, std::string doc);

  /// False if there is none of this name. Waits until no thread is in a call of it, but in a call of any
  /// service it does not wait.
  bool withdraw(std::string_view name);

  /// Withdraws all, and lets none be called any more.
  void close() noexcept;

  /// A .pyi of the Python module pyhost.services with what is provided now.
  std::string stubs() const;

  /// Who answers what modules ask for in the place of these: {"call": name, "arguments": …} by {"answer": …},
  /// {"raised": {"type", "message", "kind"}}, {"missing": message} or {"closed": message}; {"doc": name} by
  /// {"doc": text}; {"names": true} by {"names": […]}. Is called without the GIL, on any thread.
  using Elsewhere = std::function<Json(const Json& question)>;

  /// From now on. Only while no module runs.
  void answer_elsewhere(Elsewhere elsewhere) { elsewhere_ = std::move(elsewhere); }

  /// That answer, for a module in another process.
  Json answer(const Json& question);

  /// Lets Python ask for them, as pyhost/services.py does it, in this interpreter, whose conversions are
  /// given. The caller holds the GIL.
  static void add_to_python(const std::shared_ptr<Services>& services,
                            const std::shared_ptr<Conversions>& conversions);

 private:
  struct Provided;
  class Call;
  struct Door;
  class Asked;

  bool is_open() const noexcept;
  std::vector<std::string> names() const;
  std::shared_ptr<Provided> find(const std::string& name, int calls);
  std::string said_missing(const std::string& name) const;
  void give_up(const std::shared_ptr<Provided>& provided) noexcept;

  mutable std::mutex mutex_;
  std::condition_variable call_ended_;
  std::map<std::string, std::shared_ptr<Provided>, std::less<>> provided_;
  bool open_ = true;
  Elsewhere elsewhere_;
};

}  // namespace pyhost::detail
