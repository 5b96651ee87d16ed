"""JSON text is converted as by json.loads and json.dumps, except for the differences declared here."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import FIXTURES, cached, clean_environment, needs_package, small_program

needs_package("hypothesis")
from hypothesis import HealthCheck, example, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

Program = "subprocess.Popen[bytes]"
# ./dev fuzz checks many more random texts with the sanitizers.
MANY = settings(
    max_examples=50 if cached("PYHOST_SANITIZE") == "ON" else 300,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
    derandomize=False,  # random examples in CI, too
)


class Refused(Exception):
    pass


def no_constant(word: str) -> Any:
    raise Refused(f"{word} is not JSON")


def depth_of(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth_of, value), default=0)
    return 0


def all_of(value: Any) -> Iterator[Any]:
    yield value
    if isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from all_of(item)
    elif isinstance(value, list):
        for item in value:
            yield from all_of(item)


def expected(text: bytes) -> Any:
    """The result of json.loads. Raises Refused for texts that json.loads refuses, or that only pyhost refuses."""
    try:
        state = json.loads(
            text.decode("utf-8"), parse_constant=no_constant
        )  # refuses NaN and Infinity
    except (ValueError, RecursionError) as refused:
        raise Refused(str(refused)) from refused
    if not isinstance(state, dict):
        raise Refused("a state is an object")
    if depth_of(state) > 1000:
        raise Refused("more than 1,000 levels")
    for value in all_of(state):
        if isinstance(value, float) and math.isinf(value):
            raise Refused("beyond the range of a float; json.loads returns infinity")
        if isinstance(value, str) and any("\ud800" <= c <= "\udfff" for c in value):
            raise Refused("half of a surrogate pair; json.loads accepts it")
    return state


@pytest.fixture(scope="module")
def answers() -> Iterator[Program]:
    with subprocess.Popen(
        [*small_program("answers_texts"), FIXTURES], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=clean_environment()
    ) as process:  # fmt: skip
        yield process
        assert process.stdin
        process.stdin.close()
        assert process.wait() == 0


def ask(process: Program, text: bytes) -> tuple[str, str]:
    assert process.stdin and process.stdout
    process.stdin.write(b"%d\n%s" % (len(text), text))
    process.stdin.flush()
    verdict, size = process.stdout.readline().split()
    return verdict.decode(), process.stdout.read(int(size)).decode("utf-8")


def check(process: Program, text: bytes) -> None:
    verdict, answer = ask(process, text)
    try:
        state = expected(text)
    except Refused as refused:
        assert verdict == "no", f"{text!r} should be refused: {refused}"
        return
    assert verdict == "ok", f"{text!r} is refused: {answer}"
    seen = [state, repr(state)]
    assert answer == json.dumps(seen, ensure_ascii=False, separators=(",", ":"))


TEXT = st.text(st.characters(blacklist_categories=["Cs"]), max_size=80) | st.text(
    st.sampled_from('\x00\x1f\x7f"\\/é€😀a \n\u2028'), max_size=70
)
NUMBERS = (
    st.integers()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([0.0, -0.0, 5e-324, 1.7976931348623157e308, 1e16, 1e15, 9007199254740993.0, 1e-4, 1e-5])
)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(TEXT, inner, max_size=8),
    max_leaves=40,
)
STATES = st.dictionaries(TEXT, VALUES, max_size=8)


@MANY
@given(state=STATES, indent=st.sampled_from([None, 1, 7]), ascii_only=st.booleans())
def test_any_state_is_returned_unchanged(
    answers: Program, state: dict[str, Any], indent: int | None, ascii_only: bool
) -> None:
    check(answers, json.dumps(state, ensure_ascii=ascii_only, indent=indent).encode())


@MANY
@given(state=STATES, data=st.data())
def test_a_damaged_text_is_accepted_or_refused_as_by_json_loads(
    answers: Program, state: dict[str, Any], data: st.DataObject
) -> None:
    text = bytearray(json.dumps(state, ensure_ascii=False).encode())
    at = data.draw(st.integers(0, len(text) - 1))
    kind = data.draw(st.sampled_from(["cut", "drop", "replace", "insert"]))
    byte = data.draw(st.sampled_from(b'{}[]:,"\\0123456789.eE+-tfnu \n\x00\x0c\x1a\xff\xc3\xa9\xed\xa0') | st.integers(0, 255))  # fmt: skip
    if kind == "cut":
        del text[at:]
    elif kind == "drop":
        del text[at]
    elif kind == "replace":
        text[at] = byte
    else:
        text.insert(at, byte)
    check(answers, bytes(text))


@MANY
@given(st.text(st.sampled_from("0123456789.eE+-"), max_size=30))
@example("-0")
@example("1e400")
@example("1e-400")
@example("0." + "0" * 400 + "1")
@example("123456789012345678901234567890e-20")
@example("-9223372036854775808")
@example("18446744073709551615")
@example("9" * 5000)
def test_a_number_is_read_as_by_json_loads(answers: Program, number: str) -> None:
    if len(number) > 4300 and not hasattr(sys, "get_int_max_str_digits"):
        return
    check(answers, b'{"a":%s}' % number.encode())


@MANY
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_is_written_as_by_repr(answers: Program, number: float) -> None:
    check(answers, b'{"a":%s}' % repr(number).encode())


NASTY = [
    b"", b" ", b"{", b"}", b"{}", b" {} ", b"{}\x00", b"{}{}", b"[]", b"null", b'"a"', b"1", b"\xef\xbb\xbf{}",
    b'{"a":1,"a":2,"b":3,"a":4}', b'{"a":NaN}', b'{"a":Infinity}', b'{"a":-Infinity}', b'{"a":nul}', b'{"a":nulll}',
    b'{"a":true"b":1}', b'{"a":1"b":2}', b'{"a" "b":1}', b'{"a":"b"c}', b'{"a":"b" "c"}', b'{"a":1 2}', b'{"a":[1 2]}',
    b'{"a":"\\ud800"}', b'{"a":"\\udc00\\ud800"}', b'{"a":"\\ud83d\\ude00"}', b'{"\\ud800":1}', b'{"a":"\\u00"}',
    b'{"a":"\\x"}', b'{"a":"\\', b'{"a":"\\"}', b'{"a":"\xed\xa0\x80"}', b'{"a":"\xc3"}', b'{"a":"\xf4\x90\x80\x80"}',
    b'{"a":"\x00"}', b'{"a":"\x1f"}', b'{"a":"\x7f"}', b'{"a":\x0c1}', b'{"a":\x1a1}', b'{"a"\x0c:1}', b'{\\"a":1}',
    b'{"a":\\"b"}', b'{"":{"":{"":""}}}', b'{"a":1,}', b'{,"a":1}', b'{"a":[,]}', b'{"a":[1,]}', b'{"a":01}',
    b'{"a":-}', b'{"a":1.}', b'{"a":.1}', b'{"a":1e}', b'{"a":1e+}', b'{"a":[}', b'{"a":{]}', b'{"a":1]', b"[{]}",
]  # fmt: skip


@pytest.mark.parametrize("text", NASTY)
def test_an_unusual_text_is_accepted_or_refused_as_by_json_loads(
    answers: Program, text: bytes
) -> None:
    check(answers, text)


@pytest.mark.parametrize("size", [*range(1, 200), 4095, 4096, 4097, 70000])
def test_a_string_of_any_size_is_returned_unchanged(answers: Program, size: int) -> None:
    for filling in ("a", "é", "€", "😀", '"', "\\", "\n", "\x01"):
        text = (filling * size)[:size]
        state = {text: text, "b": ["x" * (size - 1) + filling, filling + "x" * size, " " * size]}
        for ascii_only in (False, True):
            check(answers, json.dumps(state, ensure_ascii=ascii_only).encode())


def test_a_number_of_any_length_is_exact(answers: Program) -> None:
    digits = "8070605040302010908070605"
    wholes = ["0", *(digits[:size] for size in range(1, 24))]
    fractions = ["", *("." + digits[size % 7 :][:size] for size in range(1, 24))]
    numbers = [
        sign + whole + fraction + power
        for sign in ("", "-")
        for whole in wholes
        for fraction in fractions
        for power in ("", "e5", "E-17", "e+200")
    ]
    for between in (",", " , "):
        check(answers, f'{{"a":[{between.join(numbers)}]}}'.encode())
    for (
        number
    ) in numbers:  # close to the end of the text, where eight bytes can no longer be read at a time
        check(answers, f'{{"a":{number}}}'.encode())


@pytest.mark.parametrize(
    "wrong",
    ["-", "+1", "01", "-01", "00.5", ".5", "1.", "-.5", "1.e5", "1e", "1e+", "1.5e", "1.5.5", "1-", "1e5.5",
     "1a", "12345a", "123456789a", "1.5a", "1.123456789a", "0x1", "1 2", "1_0", "1:", "1\x00", "1\xc3\xa9"],
)  # fmt: skip
def test_what_is_not_a_number_is_refused(answers: Program, wrong: str) -> None:
    for after in ("", " ", ",1", " " * 20 + ',"b"', "," + "1" * 20):
        text = f'{{"a":[{wrong}{after}]}}'.encode("latin-1")
        assert ask(answers, text)[0] == "no", text


@pytest.mark.parametrize("other", ["é", "€", "😀", "é€", "é€😀"])
def test_a_string_of_ascii_and_other_characters_is_returned_unchanged(
    answers: Program, other: str
) -> None:
    sizes = [0, 1, 2, 7, 8, 9, 15, 16, 17, 31, 33]
    strings = [
        "x" * before + other * times + "y" * after
        for before in sizes
        for times in (1, 2, 5)
        for after in sizes
    ]
    check(answers, json.dumps({"a": strings}, ensure_ascii=False).encode())
    check(answers, json.dumps({"a": ["\n" + s for s in strings]}, ensure_ascii=False).encode())


@pytest.mark.parametrize(
    "wrong",
    ["{}}", "{}]", "{]", "{}{}", "{},", "{},{}", "{,}", "{:}", "{\"a\"}", "{\"a\":}", "{\"a\",1}", "{\"a\":1,}",
     "{\"a\":1 \"b\":2}", "{\"a\"::1}", "{\"a\" 1}", "{1:1}", "{[]:1}", "{\"a\":[}", "{\"a\":[1}", "{\"a\":1]",
     "{\"a\":[1}]", "{\"a\":[,]}", "{\"a\":[1,]}", "{\"a\":[,1]}", "{\"a\":[1 2]}", "{\"a\":[1:2]}", "{\"a\":[[]",
     "{\"a\":[]]", "{\"a\":{}", "{\"a\":[{\"b\":1]}]}", "[{}", "{\"a\":\"b\"\"c\"}", "{\"a\"\"b\":1}", "{\"a\":}}"],
)  # fmt: skip
def test_brackets_commas_and_colons_must_be_right(answers: Program, wrong: str) -> None:
    for text in (wrong, wrong.replace("{", " { ").replace("]", " ]\n"), f'{{"x":{wrong}}}'):
        assert ask(answers, text.encode())[0] == "no", text


@pytest.mark.parametrize("levels", [1, 250, 1001, 1024, 1025, 100_000])
def test_more_than_1000_levels_are_refused(answers: Program, levels: int) -> None:
    text = b'{"a":' * (levels - 1) + b"{}" + b"}" * (levels - 1)
    # convert_test.cpp tests that 1,000 levels are accepted. Here repr() in the module fails earlier.
    assert ask(answers, text)[0] == ("ok" if levels <= 250 else "no")


DEEP_STATE = '{"give":"len(state)","deep":' + '{"a":' * 980 + "1" + "}" * 981
DEEP_RESULT = json.dumps({"first": "x = []\nfor i in range(980): x = [x]", "give": "x", "deep": []})


def on_a_small_stack(kilobytes: int, how: str, state: str) -> str:
    done = subprocess.run(
        [*small_program("small_stack"), str(FIXTURES), str(kilobytes), how, state],
        capture_output=True, text=True, env=clean_environment(),
    )  # fmt: skip
    assert done.returncode == 0, (done.returncode, done.stderr)
    return done.stdout


# With these sizes, each way from C++ to Python once crashed with SIGSEGV.
@pytest.mark.parametrize(("how", "kilobytes"), [("text", 64), ("json", 128), ("process", 96)])
def test_a_deep_state_on_a_small_stack_is_an_error(how: str, kilobytes: int) -> None:
    said = on_a_small_stack(kilobytes, how, DEEP_STATE)
    assert said.startswith("InvalidState: module 'evaluates': the state at /deep/a/a/"), said
    assert "is nested too deeply for the stack of this thread" in said
    assert on_a_small_stack(8192, how, DEEP_STATE) == "1\n"


@pytest.mark.parametrize("how", ["text", "json"])
def test_a_deep_result_on_a_small_stack_is_an_error(how: str) -> None:
    said = on_a_small_stack(160, how, DEEP_RESULT)
    assert said.startswith("InvalidResult: module 'evaluates': the result at /0/0/"), said
    assert "is nested too deeply for the stack of this thread" in said
    assert not on_a_small_stack(8192, how, DEEP_RESULT).startswith("Invalid")


def test_a_flat_state_is_read_on_a_small_stack() -> None:
    # Uses "see" instead of "give": from Python 3.14 on, Python's parser needs more than 64 KB.
    assert on_a_small_stack(64, "text", '{"see":[[[1]]]}') == f"{len(json.dumps('[[[1]]]'))}\n"
