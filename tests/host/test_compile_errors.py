"""A wrong type of a state or a result is a compiler error that names the type."""

import os
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
BUILD = Path(os.environ.get("PYHOST_BUILD", "."))

PROGRAM = """\
#include <pyhost/pyhost.hpp>
#include <thread>
#include <vector>
void calls(pyhost::Host& host, pyhost::Pool& pool, std::thread& thread, std::vector<int>& numbers) {
  CALLS
}
"""

# Each invalid call, and the type that its error must name.
WRONG = {
    'host.run("mod1", thread)': "std::thread",
    'host.run("mod1", 5)': "int",
    'host.load("mod1").create(5)': "int",
    'host.run<std::thread>("mod1")': "run<std::thread>",
    'host.run<const char*>("mod1")': "run<const char*>",
    'host.run<std::string_view>("mod1")': "string_view",
    'host.load("mod1").create().state<pyhost::Buffer>()': "state<pyhost::Buffer>",
    'pool.submit<pyhost::Buffer>("mod1")': "submit<pyhost::Buffer>",
    'pool.map("mod1", numbers)': "std::vector<int>",
    'host.run("mod1", {.timeout = std::chrono::seconds(1)})': "pyhost::Host::run",
}


def errors_of(calls: "list[str]") -> "dict[int, list[str]]":
    """The errors of each call that does not compile, by its index in the list."""
    cache = (BUILD / "CMakeCache.txt").read_text(encoding="utf-8")
    compiler = re.search(r"^CMAKE_CXX_COMPILER:\w+=(.+)$", cache, re.MULTILINE)
    assert compiler
    program = PROGRAM.replace("CALLS", ";\n".join(calls) + ";")
    options = ["-std=c++20", "-fsyntax-only", f"-I{ROOT / 'cpp/include'}", "-x", "c++", "-"]
    result = subprocess.run(
        [compiler[1], *options], input=program, capture_output=True, text=True, check=False
    )
    before = PROGRAM.splitlines().index("  CALLS")
    errors: dict[int, list[str]] = {}
    for line in result.stderr.splitlines():
        found = re.match(r"(\S+?):(\d+):\d+: error: (.*)", line)
        if found:
            assert found[1] == "<stdin>", line  # not in a header of pyhost or nlohmann_json
            errors.setdefault(int(found[2]) - before - 1, []).append(found[3])
    assert bool(errors) == bool(result.returncode), result.stderr
    return errors


def test_valid_calls_compile() -> None:
    right = [
        'host.run("mod1", "{}")',
        'host.run<std::vector<int>>("mod1")',
        'pool.submit<int>("mod1", {{"a", 1}})',
    ]
    assert errors_of(right) == {}


def test_each_wrong_type_is_one_compiler_error_that_names_the_type() -> None:
    errors = errors_of(list(WRONG))
    for number, (call, name) in enumerate(WRONG.items()):
        assert len(errors.get(number, [])) == 1, (call, errors.get(number))
        assert name in errors[number][0], call
