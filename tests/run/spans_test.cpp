#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "support.hpp"

using namespace pyhost;
using test::over_fixtures;

namespace {

class Spans {
 public:
  std::function<void(const Span&)> function() {
    return [this](const Span& span) {
      const std::lock_guard lock(mutex_);
      all_.push_back(span);
    };
  }
  std::vector<Span> of(SpanKind kind) const {
    std::vector<Span> found;
    std::ranges::copy_if(all_, std::back_inserter(found),
                         [&](const Span& span) { return span.kind == kind; });
    return found;
  }
  // The kinds of spans in the order of their reports, like "convert create convert run".
  std::string names() const {
    std::string names;
    for (const Span& span : all_) names += (names.empty() ? "" : " ") + std::string(to_string(span.kind));
    return names;
  }
  const std::vector<Span>& all() const { return all_; }

 private:
  mutable std::mutex mutex_;
  std::vector<Span> all_;
};

bool is_within(const Span& inner, const Span& outer) {
  return outer.begin <= inner.begin && inner.begin <= inner.end && inner.end <= outer.end;
}

}  // namespace

TEST_CASE("on_span reports each step and conversion of a run with the id of the run") {
  Spans spans;
  RunId run = 0;
  Host host(
      {.module_paths = {PYHOST_FIXTURES},
       .callbacks = {.on_event = [&](const Event& event) { run = event.run; }, .on_span = spans.function()}});
  CHECK(host.run("evaluates", {{"give", "1"}}) == 1);
  REQUIRE(spans.names() == "import convert create convert run");
  const std::vector<Span>& all = spans.all();
  CHECK(all[0].end <= all[2].begin);
  CHECK(is_within(all[1], all[2]));
  CHECK(all[2].end <= all[4].begin);
  CHECK(is_within(all[3], all[4]));
  for (const Span& span : all) {
    CHECK(span.module == "evaluates");
    CHECK(span.run == run);
    CHECK_FALSE(span.failed);
    CHECK(span.worker == 0);
  }
}

TEST_CASE("a failed step has a span, too") {
  const auto names = [](const std::string& module, const Json& state) {
    Spans spans;
    Host host({.module_paths = {PYHOST_FIXTURES}, .callbacks = {.on_span = spans.function()}});
    CHECK(test::error_of([&] { return host.run(module, state); }));
    CHECK(spans.all().back().failed);
    CHECK(std::ranges::count_if(spans.all(), &Span::failed) <= 2);
    return spans.names();
  };
  CHECK(names("raises_in_import", {}) == "import");
  CHECK(names("raises_in_create", {}) == "import convert create");
  CHECK(names("returns_state", 1) == "import convert create");
  CHECK(names("raises_in_run", {{"what", "base"}}) == "import convert create run");
  CHECK(names("gives_a_set", {}) == "import convert create convert run");
}

TEST_CASE("exceptions of on_span are ignored, and runs within it are not reported") {
  int told = 0;
  std::optional<Host> host;
  host.emplace(Options{.module_paths = {PYHOST_FIXTURES}, .callbacks = {.on_span = [&](const Span&) {
                                                            ++told;
                                                            host->run("returns_state");
                                                            throw std::runtime_error("no");
                                                          }}});
  CHECK(host->run("evaluates", {{"give", "1"}}) == 1);
  CHECK(told == 5);
}

TEST_CASE(
    "the spans of a pool name their run and worker, and all are reported before the pool is destroyed") {
  for (const Isolation level : {Isolation::Shared, Isolation::Process}) {
    CAPTURE(to_string(level));
    Spans spans;
    Options options = over_fixtures();
    options.callbacks.on_span = spans.function();
    Host host(options);
    {
      Pool pool(host, {.workers = 2, .isolation = level});
      std::vector<std::future<Json>> results;
      for (int i = 0; i < 50; ++i) results.push_back(pool.submit("evaluates", Json{{"give", "1"}}));
      for (std::future<Json>& result : results) CHECK(result.get() == 1);
    }
    std::map<std::uint64_t, Span> runs;
    for (const Span& span : spans.of(SpanKind::Run)) runs.emplace(span.submission, span);
    REQUIRE(runs.size() == 50);
    CHECK(runs.begin()->first == 1);
    CHECK(runs.rbegin()->first == 50);
    std::set<RunId> numbers;
    for (const auto& [submission, run] : runs) numbers.insert(run.run);
    CHECK(numbers.size() == 50);
    CHECK(spans.of(SpanKind::Convert).size() == 100);
    CHECK(spans.of(SpanKind::Queue).size() == 50);
    for (const Span& wait : spans.of(SpanKind::Queue)) {
      const Span& run = runs.at(wait.submission);
      CHECK(wait.begin <= wait.end);
      CHECK(wait.end <= run.begin);
      CHECK(wait.worker == run.worker);
      CHECK(run.worker > 0);
    }
    const std::vector<Span> starts = spans.of(SpanKind::Start);
    CHECK(starts.size() == (level == Isolation::Process ? 2 : 0));
    for (const Span& start : starts) {
      for (const auto& [submission, run] : runs)
        CHECK((run.worker != start.worker || start.end <= run.begin));
    }
  }
}
