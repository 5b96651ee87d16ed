// What a host offers by Options.connections and Options.store; test_connections.py has the rest.
#include <doctest/doctest.h>

#include <filesystem>
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

TEST_CASE("a store lasts from host to host, and nothing of a run that failed is in it") {
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

TEST_CASE("a run within a run shares the file, and each keeps what it leaves") {
  const Folder folder;
  Host host(with_store(folder));
  host.provide("again", [&](const Json&) { return host.run("counts_in_the_store"); });
  CHECK(host.run("counts_in_the_store", {{"asks", true}}) == Json{1, 1});
  CHECK(host.run("counts_in_the_store") == 2);
}

TEST_CASE("threads that count in a store lose nothing") {
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

TEST_CASE("a host without a store says how to have one") {
  Host host(test::over_fixtures());
  REQUIRE_ERROR(none, ModuleRaised, host.run("counts_in_the_store"));
  CHECK(none.message().find("this host has no store: name a file for it, by `--store FILE`") !=
        std::string::npos);
}

TEST_CASE(
    "a connection is the same in all runs of a host, another on another thread, and closed with the host") {
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
