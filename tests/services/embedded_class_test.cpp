#include <doctest/doctest.h>
#include <pybind11/embed.h>

#include <atomic>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "support.hpp"

namespace py = pybind11;
using namespace pyhost;
using test::over_fixtures;

namespace {

struct Counter {
  explicit Counter(int from) : value(from) {}
  int add(int more) { return value += more; }
  int value;
};

struct Desk {
  Counter counter{10};
};

Json evaluated_with_desk(Host& host, const std::string& give, const std::string& first = {}) {
  return host.run("evaluates", {{"first", "import desk\n" + first}, {"give", give}});
}

}  // namespace

// The module is registered before Python starts, so every host in the process has it.
PYBIND11_EMBEDDED_MODULE(desk, module) {
  py::class_<Counter, std::shared_ptr<Counter>>(module, "Counter")
      .def(py::init<int>())
      .def("add", &Counter::add)
      .def_readonly("value", &Counter::value);
  py::class_<Desk>(module, "Desk")
      .def(py::init<>())
      .def_property_readonly(
          "counter", [](Desk& desk) -> Counter& { return desk.counter; },
          py::return_value_policy::reference_internal);
}

TEST_CASE("a module uses a C++ class that pybind11 embeds") {
  Host host(over_fixtures());
  CHECK(evaluated_with_desk(host, "counter.add(4)", "counter = desk.Counter(3)") == 7);
  REQUIRE_ERROR(error, ModuleRaised, evaluated_with_desk(host, "desk.Counter('three')"));
  CHECK(error.exception().type == "TypeError");
}

TEST_CASE("a reference to a part of a C++ object keeps the whole object alive") {
  Host host(over_fixtures());
  CHECK(evaluated_with_desk(host, "part.add(1)", "import gc\npart = desk.Desk().counter\ngc.collect()") ==
        11);
}

TEST_CASE("a C++ object that both sides share lives until the last reference is gone") {
  auto counter = std::make_shared<Counter>(1);
  const std::weak_ptr<Counter> watched = counter;
  {
    Host host(over_fixtures());
    {
      const py::gil_scoped_acquire gil;
      py::module_::import("desk").attr("shared") = counter;
    }
    CHECK(evaluated_with_desk(host, "desk.shared.add(1)") == 2);
    CHECK(counter->value == 2);
    counter.reset();
    CHECK(evaluated_with_desk(host, "desk.shared.value") == 2);
  }
  CHECK_FALSE(watched.expired());  // the embedded module is not unloaded with the host
  Host next(over_fixtures());
  CHECK(evaluated_with_desk(next, "desk.shared.value") == 2);
  CHECK(evaluated_with_desk(next, "None", "del desk.shared") == nullptr);
  CHECK(watched.expired());
}

TEST_CASE(
    "objects that an instance holds are destroyed with its last handle, also after the host is closed") {
  const auto counter = std::make_shared<Counter>(1);
  std::optional<Instance> kept;
  {
    Host host(over_fixtures());
    {
      const py::gil_scoped_acquire gil;
      py::module_::import("desk").attr("shared") = counter;
    }
    kept = host.load("evaluates")
               .create({{"first", "import desk; state['held'] = desk.shared; del desk.shared"},
                        {"give", "None"}});
    kept->run();
    CHECK(counter.use_count() > 1);
  }
  CHECK(counter.use_count() > 1);
  kept.reset();
  CHECK(counter.use_count() == 1);
}

TEST_CASE("a service that uses Python objects can acquire the GIL itself, on any thread") {
  Host host(over_fixtures());
  host.services().provide("add", [](const Json& asked) -> Json {
    const py::gil_scoped_acquire gil;
    const py::object counter = py::module_::import("desk").attr("Counter")(asked["from"].get<int>());
    return counter.attr("add")(asked["more"].get<int>()).cast<int>();
  });
  const std::string give = "services.add({'from': 3, 'more': 4})";
  CHECK(evaluated_with_desk(host, give, "from pyhost import services") == 7);
  std::atomic<int> right = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < 25; ++j)
        right += evaluated_with_desk(host, give, "from pyhost import services") == 7;
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(right == 100);
  CHECK(evaluated_with_desk(
            host, "pool.submit(lambda: " + give + ").result()",
            "from pyhost import services\n"
            "from concurrent.futures import ThreadPoolExecutor\npool = ThreadPoolExecutor()") == 7);
}

TEST_CASE("the error of a service that outlives its host says so") {
  py::object quote;
  {
    Host host(over_fixtures());
    host.services().provide("quote", [](const Json&) -> Json { return 1.5; });
    const py::gil_scoped_acquire gil;
    quote = py::module_::import("pyhost.services").attr("quote");
    CHECK(quote().cast<double>() == 1.5);
  }
  {
    const py::gil_scoped_acquire gil;
    std::string said;
    try {
      quote();
    } catch (const py::error_already_set& raised) {
      CHECK(raised.matches(py::module_::import("pyhost").attr("HostClosed")));
      said = raised.what();
    }
    CHECK(said.find("service 'quote': its host is closed") != std::string::npos);
  }
  Host next(over_fixtures());
  next.services().provide("quote", [](const Json&) -> Json { return 2.5; });
  const py::gil_scoped_acquire gil;
  CHECK(quote().cast<double>() == 2.5);
  quote = py::object();
}
