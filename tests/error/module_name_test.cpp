#include <doctest/doctest.h>

#include "support.hpp"

using namespace pyhost;
using test::over_fixtures;

TEST_CASE("an invalid module name is refused before Python sees it") {
  Host host(over_fixtures());
  for (const std::string& name :
       {std::string(), std::string("../x"), std::string("/etc/passwd"), std::string("__init__"),
        std::string("class"), std::string("a.class"), std::string("a..b"), std::string(".a"),
        std::string("a."), std::string("1a"), std::string("good "), std::string("a\0b", 3),
        std::string("caf\xc3\xa9"), std::string("a-b"), std::string("a\x1b[31m"), std::string(256, 'a'),
        std::string(10000, 'a')}) {
    CAPTURE(name.substr(0, 100));
    REQUIRE_ERROR(error, InvalidName, host.load(name));
    CHECK(error.phase() == Phase::Find);
    CHECK(std::string(error.what()).size() < 400);
    CHECK(std::string(error.what()).find('\x1b') == std::string::npos);
    CHECK(std::string(error.what()).find('\0') == std::string::npos);
  }
}

TEST_CASE("an unusual but valid module name is accepted") {
  Host host(over_fixtures());
  for (const char* name : {"os", "os.path", "match", "_x", "__x", "json", "A1", "good.py"}) {
    CAPTURE(name);
    REQUIRE_ERROR(error, ModuleNotFound, host.load(name));
    CHECK(error.module() == name);
  }
}
