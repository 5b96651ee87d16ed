// Options.connections and Options.store. More tests are in test_connections.py.
#include <doctest/doctest.h>

#include <filesystem>
#include <future>
#include <optional>
#include <thread>

#include "support.hpp"

using namespace pyhost;

namespace {

class Folder {
 public:
  Folder() { std::filesystem::create_directories(path); }
  ~Folder() { std::filesystem::remove_all(path); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("pyhost-connections-" + std::to_string(getpid()));
};

Options with_store(const Folder& folder) {
  return {.module_paths = {test::fixtures}, .store = folder.path / "store.db"};
}

}  // namespace

TEST_CASE("a store lasts from host to host, without the changes of failed runs") {
  const Folder folder;
  {
    Host host(with_store(folder));
    CHECK(host.run("counts_in_the_store") == 1);
    REQUIRE_ERROR(raised, ModuleRaised, host.run("counts_in_the_store", {{"raises", true}}));
    REQUIRE_ERROR(set, InvalidResult, host.run("counts_in_the_store", {{"leaves", true}}));
    CHECK(set.pointer() == "/set/0");
    CHECK(set.message() ==
          "module 'counts_in_the_store': pyhost.store at /set/0 is of type set, which JSON does not have; "
          "nothing "
          "was stored");
  }
  Host host(with_store(folder));
  CHECK(host.run("counts_in_the_store") == 2);
}

TEST_CASE("nested runs of one module share their data in the store, and no count is lost") {
  const Folder folder;
  Host host(with_store(folder));
  host.services().provide("again", [&](const Json&) { return host.run("counts_in_the_store"); });
  CHECK(host.run("counts_in_the_store", {{"asks", true}}) == Json{2, 2});
  CHECK(host.run("counts_in_the_store") == 3);
}

TEST_CASE(
    "a nested run in another process cannot use the data that its caller holds, but that of other modules") {
  const Folder folder;
  Host host(with_store(folder));
  host.services().provide("again", [&](const Json&) { return host.run("counts_in_the_store"); });
  Pool pool(host, {.workers = 1, .isolation = Isolation::Process});
  const Json asks{{"asks", true}};
  REQUIRE_ERROR(error, ModuleRaised, pool.submit("counts_in_the_store", asks).get());
  CHECK_SAYS(error, "waits for this run");
  host.services().provide(
      "again", [&](const Json&) { return test::evaluated(host, "len(store)", "from pyhost import store"); });
  CHECK(pool.submit("counts_in_the_store", asks).get() == Json{0, 1});
  host.services().provide("again", [&](const Json&) { return host.run("counts_in_the_store"); });
  CHECK(host.run("counts_in_the_store", asks) == Json{3, 3});
}

TEST_CASE("a nested run that fails leaves the store as it was when it began") {
  const Folder folder;
  Host host(with_store(folder));
  host.services().provide("again", [&](const Json&) {
    REQUIRE_ERROR(raised, ModuleRaised, host.run("counts_in_the_store", {{"raises", true}}));
    return Json("failed");
  });
  CHECK(host.run("counts_in_the_store", {{"asks", true}}) == Json{"failed", 1});
  host.services().provide("again", [&](const Json&) -> Json {
    CHECK(host.run("counts_in_the_store") == 3);
    throw std::runtime_error("no");
  });
  CHECK_THROWS_AS(host.run("counts_in_the_store", {{"asks", true}}), std::runtime_error);
  CHECK(host.run("counts_in_the_store") == 2);
}

TEST_CASE("a run nested in another module's run keeps its changes") {
  const Folder folder;
  Host host(with_store(folder));
  host.services().provide("again", [&](const Json&) { return host.run("counts_in_the_store"); });
  REQUIRE_ERROR(
      raised, ModuleRaised,
      test::evaluated(host, "1 / 0", "from pyhost import services, store; store['n'] = 7; services.again()"));
  CHECK(host.run("counts_in_the_store") == 2);
  CHECK(test::evaluated(host, "dict(store)", "from pyhost import store") == Json::object());
}

TEST_CASE("a run that is cancelled while it acquires the store releases it") {
  const Folder folder;
  Host host(with_store(folder));
  const auto interrupted = [&] {
    return test::evaluated(host, "store['n']",
                           "import sys\n"
                           "from pyhost import store\n"
                           "def interrupt(frame, event, function):\n"
                           "  if event == 'c_return' and function.__name__ == 'execute':\n"
                           "    raise KeyboardInterrupt\n"
                           "sys.setprofile(interrupt)\n"
                           "store['n'] = 1");
  };
  REQUIRE_ERROR(error, ModuleRaised, interrupted());
  CHECK(error.exception().type == "KeyboardInterrupt");
  CHECK(host.run("counts_in_the_store") == 1);
  std::thread([&] { CHECK(host.run("counts_in_the_store") == 2); }).join();
}

TEST_CASE("a value in the store that is not JSON is reported, and the store stays usable") {
  const Folder folder;
  Host host(with_store(folder));
  CHECK(host.run("counts_in_the_store") == 1);
  const auto change = [&](const std::string& statement) {
    test::evaluated(host, "file.commit()",
                    "import sqlite3; file = sqlite3.connect('" + (folder.path / "store.db").string() +
                        "', timeout=0); file.execute(\"" + statement + "\")");
  };
  for (const std::string text : {"no JSON", "[1]"}) {
    change("update store set value = '" + text + "'");
    REQUIRE_ERROR(error, ModuleRaised, host.run("counts_in_the_store"));
    CHECK_SAYS(error, "store.db cannot be read: ");
    CHECK(error.place().file.ends_with("counts_in_the_store.py"));
  }
  change("delete from store");
  CHECK(host.run("counts_in_the_store") == 1);
  CHECK(host.run("counts_in_the_store") == 2);
}

TEST_CASE("changes that close and on_unload make to the store are kept if they succeed") {
  const Folder folder;
  Host host(with_store(folder));
  host.load("stores_in_the_end").create().close();
  {
    const Instance given_up = host.load("stores_in_the_end").create();
  }
  Instance raises = host.load("stores_in_the_end").create({{"raises", true}});
  REQUIRE_ERROR(error, ModuleRaised, raises.close());
  const Instance kept = host.load("stores_in_the_end").create();
  Json there;
  std::thread([&] { there = kept.run(); }).join();
  CHECK(there == Json{{"closed", 2}});
  host.unload("stores_in_the_end");
  std::thread([&] { there = host.load("stores_in_the_end").create().run(); }).join();
  CHECK(there == Json{{"closed", 3}, {"unloaded", 1}});
}

TEST_CASE("threads that count in a store lose no count") {
  const Folder folder;
  Host host(with_store(folder));
  const auto count = [&] {
    for (int i = 0; i < 50; ++i) host.run("counts_in_the_store");
  };
  std::thread other(count);
  count();
  other.join();
  CHECK(host.run("counts_in_the_store") == 101);
}

TEST_CASE("the error of a host without a store says how to configure one") {
  Host host(test::over_fixtures());
  REQUIRE_ERROR(none, ModuleRaised, host.run("counts_in_the_store"));
  CHECK(none.message().find("this host has no store: set its file with `--store FILE`") != std::string::npos);
}

TEST_CASE("a connection is shared by all runs on a thread, and closed with the host") {
  const Json make{{"to", "main"}, {"give", "str(opened.execute('create table t (n)'))[:1]"}};
  const Folder folder;
  const Options options{.module_paths = {test::fixtures},
                        .connections = {{"main", "sqlite:///" + (folder.path / "a.db").string()}}};
  {
    Host host(options);
    host.run("connects", make);
    const Json same{
        {"to", "main"},
        {"give", "[opened is connection('main'), setattr(__import__('sys'), 'kept', opened)][0]"}};
    CHECK(host.run("connects", same) == true);
    const Json other{
        {"to", "main"},
        {"give", "[opened is __import__('sys').kept, opened.execute('select * from t').fetchall()]"}};
    Json there;
    std::thread([&] { there = host.run("connects", other); }).join();
    CHECK(there == Json{false, Json::array()});
  }
  Host host(options);
  const std::string said = test::evaluated(host, "said",
                                           "import sqlite3, sys\n"
                                           "try: sys.kept.execute('select 1'); said = 'open'\n"
                                           "except sqlite3.ProgrammingError as error: said = str(error)");
  CHECK(said == "Cannot operate on a closed database.");
}

TEST_CASE("uncommitted changes of a run are rolled back at its end") {
  const Folder folder;
  Host host({.module_paths = {test::fixtures},
             .connections = {{"main", "sqlite:///" + (folder.path / "a.db").string()}}});
  const auto does = [&](const std::string& give) { return Json{{"to", "main"}, {"give", give}}; };
  const std::string insert = "opened.execute('insert into t values (1)').rowcount";
  const Json count = does("opened.execute('select count(*) from t').fetchone()[0]");
  host.run("connects", does("opened.execute('create table t (n)').rowcount"));

  REQUIRE_ERROR(raised, ModuleRaised, host.run("connects", does(insert + " / 0")));
  CHECK(host.run("connects", count) == 0);
  std::thread([&] { host.run("connects", does("[" + insert + ", opened.commit()]")); }).join();
  CHECK(host.run("connects", count) == 1);
  CHECK(host.run("connects", does("__import__('warnings').simplefilter('ignore') or " + insert)) == 1);
  CHECK(host.run("connects", count) == 1);
}

TEST_CASE("a nested run can leave the commit to the outer run") {
  const Folder folder;
  Host host({.module_paths = {test::fixtures},
             .connections = {{"main", "sqlite:///" + (folder.path / "a.db").string()}}});
  const auto does = [&](const std::string& give) { return Json{{"to", "main"}, {"give", give}}; };
  host.services().provide("insert", [&](const Json&) {
    return host.run("connects", does("opened.execute('insert into t values (1)').rowcount"));
  });
  host.run("connects", does("opened.execute('create table t (n)').rowcount"));
  host.run("connects", does("[__import__('pyhost').services.insert(), opened.commit()]"));
  CHECK(host.run("connects", does("opened.execute('select count(*) from t').fetchone()[0]")) == 1);
}

TEST_CASE("a run of another module does not wait for the holder of the store") {
  const Folder folder;
  Host host(with_store(folder));
  host.services().provide("again", [&](const Json&) {
    Json there;
    std::thread([&] { there = test::evaluated(host, "len(store)", "from pyhost import store"); }).join();
    return there;
  });
  CHECK(host.run("counts_in_the_store", {{"asks", true}}) == Json{0, 1});
}

TEST_CASE("a nested run that fails keeps the identity of objects that it has not changed") {
  const Folder folder;
  Host host(with_store(folder));
  host.services().provide("fails", [&](const Json&) -> Json {
    test::evaluated(host, "1 / 0", "from pyhost import store; store['n']");
    return {};
  });
  const std::string first =
      "from pyhost import services, store\n"
      "store['list'] = seen = []\n"
      "try: services.fails()\n"
      "except Exception: seen.append(1)\n";
  CHECK(test::evaluated(host, "dict(store)", first) == Json{{"list", {1}}});
}

TEST_CASE("a thread that outlives its host uses the store and the connections of the next host") {
  const Folder folder;
  Options options = with_store(folder);
  options.connections = {{"main", "sqlite:///" + (folder.path / "a.db").string()}};
  const Json make{{"to", "main"}, {"give", "opened.execute('create table if not exists t (n)').rowcount"}};
  std::promise<void> first_is_done, second_is_open;
  std::optional<Host> host(options);
  std::thread other([&] {
    CHECK(host->run("counts_in_the_store") == 1);
    host->run("connects", make);
    first_is_done.set_value();
    second_is_open.get_future().wait();
    CHECK(host->run("counts_in_the_store") == 2);
    host->run("connects", make);
  });
  first_is_done.get_future().wait();
  host.reset();
  host.emplace(options);
  second_is_open.set_value();
  other.join();
  CHECK(host->run("counts_in_the_store") == 3);
}

namespace {

class Inserting {
 public:
  Inserting() { host.run("connects", does("opened.execute('create table t (n)').rowcount")); }
  static Json does(const std::string& give) { return {{"to", "main"}, {"give", give}}; }
  Json count() {
    return host.run("connects", does("opened.execute('select count(*) from t').fetchone()[0]"));
  }

  const Folder folder;
  Host host{{.module_paths = {test::fixtures},
             .connections = {{"main", "sqlite:///" + (folder.path / "a.db").string()}}}};
};

}  // namespace

TEST_CASE("uncommitted changes of a stream stay open while other runs happen between its items") {
  Inserting to;
  const std::string insert = "opened.execute('insert into t values (1)').rowcount";
  {
    Stream items =
        to.host.stream("connects", Inserting::does("(each for each in [" + insert + ", opened.commit()])"));
  }
  CHECK(to.count() == 1);
  Stream items = to.host.stream(
      "connects", Inserting::does("(opened.commit() if last else " + insert + " for last in [False, True])"));
  CHECK(items.next() == 1);
  CHECK(to.count() == 1);
  CHECK(items.next() == nullptr);
  items.close();
  CHECK(to.count() == 2);
}

TEST_CASE("uncommitted changes of a stream are rolled back at its end, also within another run") {
  Inserting to;
  std::optional<Stream<>> items(
      to.host.stream("connects", Inserting::does("(__import__('warnings').simplefilter('ignore') or "
                                                 "opened.execute('insert into t values (1)').rowcount "
                                                 "for _ in [1, 2])")));
  CHECK(items->next() == 1);
  to.host.services().provide("end", [&](const Json&) {
    items.reset();
    return Json();
  });
  to.host.run("connects", Inserting::does("__import__('pyhost').services.end()"));
  CHECK(to.count() == 0);
}

TEST_CASE("uncommitted changes on a connection that another thread opened are rolled back, too") {
  Inserting to;
  to.host.run("connects", Inserting::does("setattr(__import__('sys'), 'kept', opened)"));
  std::thread([&] {
    REQUIRE_ERROR(
        raised, ModuleRaised,
        test::evaluated(to.host, "1 / 0", "import sys; sys.kept.execute('insert into t values (1)')"));
  }).join();
  CHECK(to.count() == 0);
  to.host.run("connects", Inserting::does("opened.commit()"));
  CHECK(to.count() == 0);
}
