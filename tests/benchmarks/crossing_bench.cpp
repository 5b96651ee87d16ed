// Measures calls and conversions between C++ and Python by pyhost, by the bare C API and by other libraries,
// in the same process. `./dev bench` prints the results. The name of a benchmark is "row|library". Under
// callgrind, the program counts instructions instead.
#include <benchmark/benchmark.h>

#include <gnu/libc-version.h>
#include <simdjson.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <pybind11_json/pybind11_json.hpp>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "bare.hpp"
#include "convert/convert.hpp"
#include "counting.hpp"
#include "pyhost/pyhost.hpp"
#include "python/gil.hpp"

namespace pyhost::bench {

namespace {

namespace fs = std::filesystem;
using detail::GilAcquire;

std::string read_file(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

struct Text {
  std::string name;
  std::string json;
};

std::string of_size(std::size_t wanted) {
  std::string text = R"({"id":12345,"name":"Ada","ok":true)";
  for (int i = 0; text.size() + 20 < wanted; ++i)
    text += ",\"key" + std::to_string(i) + "\":\"value " + std::to_string(i * 7) + "\"";
  return text + "}";
}

std::vector<Text> texts(const fs::path& folder) {
  std::vector<Text> found{{"40 B", of_size(40)}, {"1 KB", of_size(1024)}};
  std::vector<fs::path> files;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == ".json") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  for (const fs::path& file : files) found.push_back({file.filename().string(), read_file(file)});
  return found;
}

// Makes the calls of one benchmark: as many as are timed, or those that callgrind counts.
template <class Action>
void repeat(benchmark::State& state, Action& action) {
  if (counting()) {
    for (auto _ : state) count(action);
  } else {
    for (auto _ : state) action();
  }
}

// Measures the processor time of all threads, so that other load on the machine does not count.
template <class Body>
void add(const std::string& row, const std::string& library, Body body) {
  auto* added = benchmark::RegisterBenchmark((row + "|" + library).c_str(), body)->MeasureProcessCPUTime();
  if (counting()) added->Iterations(1);
}

template <class Action>
void measure(const std::string& row, const std::string& library, Action action) {
  add(row, library, [action](benchmark::State& state) { repeat(state, action); });
}

template <class Action>
void measure_on_another_thread(const std::string& row, const std::string& library, Action action) {
  add(row, library, [action](benchmark::State& state) {
    std::thread([&] {
      const PyGILState_STATE acquired =
          PyGILState_Ensure();  // a thread state for all of them, including the baseline
      PyThreadState* released = PyEval_SaveThread();
      repeat(state, action);
      PyEval_RestoreThread(released);
      PyGILState_Release(acquired);
    }).join();
  });
}

// Measures an action with the GIL held throughout, outside of any call by pyhost.
template <class Action>
void measure_inside(const std::string& row, const std::string& library, Action action) {
  add(row, library, [action](benchmark::State& state) {
    const Gil gil;
    repeat(state, action);
  });
}

PyObject* attribute(const char* module, const char* name) {
  const py::object imported = steal(checked(PyImport_ImportModule(module)));
  return checked(PyObject_GetAttrString(imported.ptr(), name));
}

const Json ten_keys{{"a", 1}, {"b", 2.5}, {"c", "three"}, {"d", nullptr}, {"e", true},
                    {"f", 6}, {"g", 7.5}, {"h", "eight"}, {"i", false},   {"j", -10}};

void register_calls(Host& host) {
  const Module quiet = host.load("quiet");
  const Module echoes = host.load("echoes");
  const Gil gil;
  const Calls calls{attribute("modules.quiet", "create"), PyUnicode_InternFromString("run")};
  PyObject* module = checked(PyImport_ImportModule("modules.quiet"));
  PyObject* echo = checked(PyImport_ImportModule("modules.echoes"));
  PyObject* run_many = attribute("article_host", "run_many");

  const auto article = [run_many](benchmark::State& state) {
    const Gil held;
    constexpr int times = 1000;
    while (state.KeepRunningBatch(times))
      Py_DECREF(checked(PyObject_CallFunction(run_many, "si", "quiet", times)));
  };
  const auto pybind11 = [module] {
    const py::gil_scoped_acquire acquire;
    py::handle(module).attr("create")(py::dict()).attr("run")();
  };
  const auto pyhost_calls = [quiet] { benchmark::DoNotOptimize(quiet.create({}).run()); };

  const std::string main = "create+run, main thread";
  measure(main, "pyhost", pyhost_calls);
  measure(main, "C API", [calls] { create_then_run(calls); });
  measure(main, "pybind11", pybind11);
  add(main, "article's host", article);

  const std::string another = "create+run, another thread";
  measure_on_another_thread(another, "pyhost", pyhost_calls);
  measure_on_another_thread(another, "C API", [calls] { create_then_run(calls); });
  measure_on_another_thread(another, "pybind11", pybind11);

  const std::string kept = "create+run, instance destroyed later";
  measure(kept, "pyhost", [quiet] {
    const Instance instance = quiet.create({});
    benchmark::DoNotOptimize(instance.run());
  });
  measure(kept, "C API", [calls] { create_then_run_then_drop(calls); });

  const std::string by_name = "host.run(name), C API acquires the GIL once";
  measure(by_name, "pyhost", [&host] { benchmark::DoNotOptimize(host.run("quiet")); });
  measure(by_name, "C API", [calls] { create_and_run_at_once(calls); });
  measure(by_name, "C API, lookup", [modules = std::unordered_map<std::string, Calls>{{"quiet", calls}}] {
    create_and_run_at_once(modules.at("quiet"));
  });
  measure(by_name, "pybind11", pybind11);
  add(by_name, "article's host", article);

  const std::string ten = "state and result of 10 keys, Json";
  measure(ten, "pyhost", [echoes] { benchmark::DoNotOptimize(echoes.create(ten_keys).run()); });
  measure(ten, "pybind11_json", [echo] {
    const py::gil_scoped_acquire acquire;
    const py::object object = py::handle(echo).attr("create")(pyjson::from_json(ten_keys));
    benchmark::DoNotOptimize(pyjson::to_json(object.attr("run")()));
  });
  const std::string ten_as_text = "state and result of 10 keys, text";
  measure(ten_as_text, "pyhost", [echoes, text = ten_keys.dump()] {
    benchmark::DoNotOptimize(echoes.create(text).run<std::string>());
  });
  const std::string cached = "load, module already loaded";
  measure(cached, "pyhost", [&host] { benchmark::DoNotOptimize(host.load("quiet")); });
  measure(cached, "C API", [] {
    const Gil held;
    Py_DECREF(checked(PyImport_ImportModule("modules.quiet")));
  });
  const std::string cold = "load, module not loaded yet";
  const auto forget = [] {
    const Gil held;
    PyDict_DelItemString(PyImport_GetModuleDict(), "modules.quiet");
  };
  measure(cold, "pyhost", [&host, forget] {
    forget();
    benchmark::DoNotOptimize(host.load("quiet"));
  });
  measure(cold, "C API", [forget] {
    forget();
    const Gil held;
    Py_DECREF(checked(PyImport_ImportModule("modules.quiet")));
  });
}

void register_conversions(const std::vector<Text>& all) {
  static detail::Conversions conversions;
  const Gil gil;
  PyObject* json_loads = attribute("json", "loads");
  PyObject* json_dumps = attribute("json", "dumps");
  PyObject* orjson_loads = attribute("orjson", "loads");
  PyObject* orjson_dumps = attribute("orjson", "dumps");
  for (const Text& given : all) {
    const std::string& text = given.json;
    PyObject* str = checked(PyUnicode_FromStringAndSize(text.data(), static_cast<Py_ssize_t>(text.size())));
    PyObject* bytes = checked(PyBytes_FromStringAndSize(text.data(), static_cast<Py_ssize_t>(text.size())));
    PyObject* dict = call(json_loads, str);
    PyObject* orjson_dict = call(json_loads, str);  // a separate dict: orjson caches UTF-8 in each str
    const Json dom = Json::parse(text);

    const std::string in = "text to dict, " + given.name;
    measure_inside(in, "pyhost", [&text] { conversions.to_python(std::string_view(text)); });
    measure_inside(in, "orjson", [=] { Py_DECREF(call(orjson_loads, bytes)); });
    measure_inside(in, "json", [=] { Py_DECREF(call(json_loads, str)); });

    const std::string dom_in = "DOM to dict, " + given.name;
    measure_inside(dom_in, "pyhost", [dom] { conversions.to_python(dom); });
    measure_inside(dom_in, "pybind11_json", [dom] { pyjson::from_json(dom); });

    const std::string out = "dict to text, " + given.name;
    measure_inside(out, "pyhost", [dict] { benchmark::DoNotOptimize(conversions.to_text(dict)); });
    measure_inside(out, "orjson", [=] { Py_DECREF(call(orjson_dumps, orjson_dict)); });
    measure_inside(out, "json", [=] { Py_DECREF(call(json_dumps, dict)); });

    const std::string dom_out = "dict to DOM, " + given.name;
    measure_inside(dom_out, "pyhost", [dict] { benchmark::DoNotOptimize(conversions.to_json(dict)); });
    measure_inside(dom_out, "pybind11_json",
                   [dict] { benchmark::DoNotOptimize(pyjson::to_json(py::handle(dict))); });
  }
}

long resident_kib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmRSS:")) return std::stol(line.substr(6));
  }
  return 0;
}

// Makes a million runs. Prints how much memory they add, and the times of the first and the last 100,000.
int run_a_million(Host& host) {
  const Module quiet = host.load("quiet");
  const auto some = [&] {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < 100000; ++i) quiet.create({}).run();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  const double first = some();
  const long before = resident_kib();
  for (int i = 0; i < 8; ++i) some();
  const double last = some();
  std::printf("{\"grown_kib\": %ld, \"first\": %f, \"last\": %f}\n", resident_kib() - before, first, last);
  return 0;
}

// Prints the peak memory of a process that reads one file as a state.
int read_one(Host& host, const fs::path& file) {
  const std::string text = read_file(file);
  const Module quiet = host.load("quiet");
  rusage before{}, after{};
  getrusage(RUSAGE_SELF, &before);
  const Instance instance = quiet.create(text);
  getrusage(RUSAGE_SELF, &after);
  std::printf("{\"before_kib\": %ld, \"peak_kib\": %ld}\n", before.ru_maxrss, after.ru_maxrss);
  return 0;
}

// Prints the versions on which counted instructions depend. bench.py adds those of Python and orjson.
int print_versions() {
  std::printf("compiler %s, glibc %s, simdjson %d.%d.%d, nlohmann_json %d.%d.%d, pybind11 %d.%d\n",
              __VERSION__, gnu_get_libc_version(), simdjson::SIMDJSON_VERSION_MAJOR,
              simdjson::SIMDJSON_VERSION_MINOR, simdjson::SIMDJSON_VERSION_REVISION,
              NLOHMANN_JSON_VERSION_MAJOR, NLOHMANN_JSON_VERSION_MINOR, NLOHMANN_JSON_VERSION_PATCH,
              PYBIND11_VERSION_MAJOR, PYBIND11_VERSION_MINOR);
  return 0;
}

int bench(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  const auto value_of = [&](const std::string& option) -> std::string {
    const auto at = std::find(words.begin(), words.end(), option);
    return at == words.end() || at + 1 == words.end() ? std::string() : *(at + 1);
  };
  if (std::find(words.begin(), words.end(), "--versions") != words.end()) return print_versions();
  // Counts need PYTHONHASHSEED=0.
  Host host({.module_paths = {PYHOST_BENCH_FOLDER}, .python = {.use_environment = counting()}});
  if (!value_of("--read").empty()) return read_one(host, value_of("--read"));
  if (std::find(words.begin(), words.end(), "--million") != words.end()) return run_a_million(host);
  {
    const Gil gil;
    PyObject* path = PySys_GetObject("path");
    for (const std::string& folder : {std::string(PYHOST_BENCH_FOLDER), value_of("--site")}) {
      PyList_Append(path, steal(PyUnicode_FromString(folder.c_str())).ptr());
    }
  }
  const std::vector<Text> all = texts(value_of("--data"));
  register_calls(host);
  register_conversions(all);
  {
    // Otherwise each collection while a large text is read would look at all objects of the benchmarks, too.
    const Gil gil;
    Py_DECREF(checked(PyObject_CallNoArgs(attribute("gc", "freeze"))));
  }
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

}  // namespace

}  // namespace pyhost::bench

int main(int argc, char** argv) {
  try {
    return pyhost::bench::bench(argc, argv);
  } catch (const std::exception& failed) {
    std::fprintf(stderr, "%s\n", failed.what());
    return 1;
  }
}
