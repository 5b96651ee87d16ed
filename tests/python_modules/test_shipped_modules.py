"""Tests the modules that ship with pyhost as plain Python, without a host."""

import contextlib
import importlib.util
import json
import re
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any, Optional

import pytest
from conftest import ROOT

MODULES = ROOT / "python_modules" / "modules"


def load(name: str) -> ModuleType:
    # Loaded from the file, because the modules must not depend on their package.
    spec = importlib.util.spec_from_file_location(name, MODULES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(name: str, state: dict[str, Any]) -> Any:
    """The result. Asserts that it is unchanged after a conversion to JSON and back."""
    result = load(name).create(state).run()
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    return result


def refusal(name: str, state: dict[str, Any]) -> str:
    with pytest.raises(ValueError) as raised:
        run(name, state)
    return str(raised.value)


@pytest.mark.parametrize("name", ["mod1", "portfolio", "csv_summary", "url_check"])
def test_the_first_line_of_a_module_says_what_it_does(name: str) -> None:
    first = (load(name).__doc__ or "").split("\n")[0]
    assert re.fullmatch(r"[A-Z].{20,90}\.", first)


# --- mod1


def test_mod1_prints_the_text_of_the_article(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("mod1", {}) is None
    assert capsys.readouterr().out == "This is module1 doing its thing\n"


def test_mod1_keeps_the_state_that_it_was_given() -> None:
    assert load("mod1").create({"who": "Ada"}).state == {"who": "Ada"}


# --- portfolio


def position(symbol: str, quantity: Any, price: Any, **more: Any) -> dict[str, Any]:
    return {"symbol": symbol, "quantity": quantity, "price": price, **more}


def portfolio(*positions: Any, **more: Any) -> dict[str, Any]:
    return {"base": "EUR", "positions": list(positions), **more}


def test_a_portfolio_is_priced_in_its_base_currency() -> None:
    acme = position("ACME", 10, 12.5, currency="USD")
    state = portfolio(acme, position("BOLT", 3, "95.00"), rates={"USD": 0.92})
    assert run("portfolio", state) == {
        "base": "EUR",
        "total": "400.00",
        "biggest": "BOLT",
        "positions": [
            {"symbol": "ACME", "value": "115.00", "weight": 0.2875},
            {"symbol": "BOLT", "value": "285.00", "weight": 0.7125},
        ],
    }


def test_money_is_exact_where_floats_are_not() -> None:
    assert 1.1 * 1.1 * 50 != 60.5 and 0.1 * 3 != 0.3
    assert run("portfolio", portfolio(position("A", 3, 0.1)))["total"] == "0.30"
    big = portfolio(position("A", 9007199254740993, 1), position("B", 1, 0.01))
    assert run("portfolio", big)["total"] == "9007199254740993.01"
    long = portfolio(position("A", "12345678901234567890", "1.0000000000000001"))
    assert run("portfolio", long)["total"] == "12345678901234569124.57"


def test_only_the_final_result_is_rounded_and_half_a_cent_rounds_to_even() -> None:
    result = run("portfolio", portfolio(*(position("A", 1, 0.005) for _ in range(3))))
    assert [each["value"] for each in result["positions"]] == ["0.00", "0.00", "0.00"]
    assert result["total"] == "0.02"
    assert run("portfolio", portfolio(position("A", -1, 0.001)))["total"] == "0.00"


def test_a_short_position_can_be_the_biggest() -> None:
    result = run("portfolio", portfolio(position("A", 1, 100), position("B", -3, 100)))
    assert (result["total"], result["biggest"]) == ("-200.00", "B")
    assert [each["weight"] for each in result["positions"]] == [-0.5, 1.5]


def test_a_portfolio_worth_nothing_has_no_weights() -> None:
    result = run("portfolio", portfolio(position("A", 1, 5), position("B", -1, 5)))
    assert [each["weight"] for each in result["positions"]] == [None, None]
    assert run("portfolio", portfolio()) == {
        "base": "EUR",
        "total": "0.00",
        "biggest": None,
        "positions": [],
    }


def test_the_result_is_finite_at_the_limits_of_the_input() -> None:
    least, most = "1e-60", "9.99e29"
    rates = {"BIG": most, "TINY": least}
    big = position("A", most, most, currency="BIG")
    short = position("B", "-" + most, most, currency="BIG")
    tiny = position("C", least, least, currency="TINY")
    result = run("portfolio", portfolio(big, short, tiny, rates=rates))
    assert result["positions"][0]["weight"] > 1e200


@pytest.mark.parametrize("key", ["symbol", "quantity", "price"])
def test_a_missing_key_names_the_position(key: str) -> None:
    broken = position("B", 1, 1)
    del broken[key]
    message = refusal("portfolio", portfolio(position("A", 1, 1), broken))
    assert message == f"state.positions[1].{key} is missing"


@pytest.mark.parametrize("price", ["cheap", "", None, True, [1], {}])
def test_a_price_that_is_not_a_number_is_named_with_its_position(price: Any) -> None:
    message = refusal("portfolio", portfolio(position("A", 1, price)))
    assert message.startswith("state.positions[0].price must be a number, not ")


@pytest.mark.parametrize(
    "price",
    # has an id, because the number itself is too long to print
    ["nan", "Infinity", 1e30, pytest.param(10**5000, id="huge"), "1e-61", "1e999999999"],
)
def test_a_price_out_of_range_is_refused(price: Any) -> None:
    message = refusal("portfolio", portfolio(position("A", 1, price)))
    assert message.startswith("state.positions[0].price must be finite, below 1e30")


def test_a_currency_without_a_rate_is_named_with_its_position() -> None:
    message = refusal("portfolio", portfolio(position("A", 1, 1, currency="USD")))
    assert message == "state.positions[0].currency: state.rates has no rate for 'USD'"


def test_a_misspelt_key_is_refused_rather_than_priced_wrong() -> None:
    message = refusal("portfolio", portfolio(position("A", 1, 1, curency="USD")))
    assert message == "state.positions[0].curency is not a known key"
    assert refusal("portfolio", portfolio(rate={})) == "state.rate is not a known key"


@pytest.mark.parametrize(
    "state, message",
    [
        ({}, "state.base is missing"),
        ({"base": "EUR"}, "state.positions is missing"),
        ({"base": "", "positions": []}, "state.base must be text, not ''"),
        ({"base": "EUR", "positions": {}}, "state.positions must be a list"),
        (portfolio(7), "state.positions[0] must be an object, not 7"),
        (portfolio(position("", 1, 1)), "state.positions[0].symbol must be text, not ''"),
        (portfolio(rates=[]), "state.rates must be an object of currencies and rates"),
        (portfolio(rates={"USD": "x"}), "state.rates.USD must be a number, not 'x'"),
        (portfolio(rates={"USD": 0}), "state.rates.USD must be more than 0"),
        (portfolio(rates={"EUR": 2}), "state.rates.EUR must be 1: it is the base currency"),
    ],
)
def test_an_invalid_portfolio_has_a_message(state: dict[str, Any], message: str) -> None:
    assert refusal("portfolio", state) == message


# --- csv_summary


def columns(text: str, **more: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = run("csv_summary", {"text": text, **more})["columns"]
    return found


def test_a_csv_is_summarised_column_by_column() -> None:
    text = "price,city,note\n1,Rome,\n4,,\n1,Oslo, \n2.0,Oslo,\n"
    assert run("csv_summary", {"text": text}) == {
        "rows": 4,
        "columns": [
            {
                "name": "price",
                "kind": "number",
                "count": 4,
                "missing": 0,
                "min": 1.0,
                "max": 4.0,
                "mean": 2.0,
            },
            {
                "name": "city",
                "kind": "text",
                "count": 3,
                "missing": 1,
                "distinct": 2,
                "most_common": {"value": "Oslo", "count": 2},
            },
            {"name": "note", "kind": "empty", "count": 0, "missing": 4},
        ],
    }


def test_a_csv_file_has_the_same_result_as_its_text(tmp_path: Path) -> None:
    text = 'a;b\r\n1;"two\r\nlines; one field"\r\n\r\n2;ü\r\n'
    file = tmp_path / "data.csv"
    file.write_bytes(b"\xef\xbb\xbf" + text.encode())
    from_file = run("csv_summary", {"path": str(file), "delimiter": ";"})
    assert from_file == run("csv_summary", {"text": text, "delimiter": ";"})
    assert from_file["rows"] == 2
    assert [column["name"] for column in from_file["columns"]] == ["a", "b"]
    assert from_file["columns"][1]["most_common"]["value"] == "two\r\nlines; one field"


@pytest.mark.parametrize("value", ["nan", "inf", "-Infinity", "1e999", "1_000", "0x10", "٣", "1 2"])
def test_a_number_that_is_not_plain_and_finite_is_text(value: str) -> None:
    (column,) = columns(f"n\n1\n{value}\n2\n")
    assert (column["kind"], column["count"], column["distinct"]) == ("text", 3, 3)


@pytest.mark.parametrize("value", ["7", "+7", "7.", "70e-1", " 7 ", "07", ".7E1"])
def test_common_notations_of_a_number_are_accepted(value: str) -> None:
    assert [column.get("mean") for column in columns(f"n\n{value}\n")] == [7.0]


def test_a_mean_is_exact_and_never_overflows() -> None:
    assert columns("n\n1e16\n1\n-1e16\n1\n")[0]["mean"] == 0.5
    assert columns("n\n1.7e308\n1.7e308\n")[0]["mean"] == 1.7e308
    assert columns("n\n5e-324\n5e-324\n")[0]["mean"] == 5e-324
    assert columns("n\n" + "0.1\n" * 10)[0]["mean"] == 0.1


def test_a_csv_with_only_a_header_has_no_rows() -> None:
    assert run("csv_summary", {"text": "\na\n"}) == {
        "rows": 0,
        "columns": [{"name": "a", "kind": "empty", "count": 0, "missing": 0}],
    }


def test_too_many_different_values_are_not_counted() -> None:
    many = "".join(f"t{index}\n" for index in range(10_000))
    assert columns("id\n" + many)[0]["distinct"] == 10_000
    (column,) = columns("id\n" + many + "one more\nt0\n")
    assert (column["kind"], column["count"]) == ("text", 10_002)
    assert (column["distinct"], column["most_common"]) == (None, None)


def test_a_ragged_row_is_reported_with_its_line(tmp_path: Path) -> None:
    text = 'a,b\n1,"2\n2"\n\n3\n'
    assert refusal("csv_summary", {"text": text}) == (
        "state.text, line 5: 1 fields, but the header has 2"
    )
    file = tmp_path / "ragged.csv"
    file.write_text("a\n1,2\n")
    assert refusal("csv_summary", {"path": str(file)}) == (
        f"{file}, line 2: 2 fields, but the header has 1"
    )


def test_a_quote_that_is_never_closed_is_refused() -> None:
    assert "line 3: unexpected end of data" in refusal("csv_summary", {"text": 'a\n"1\n2\n'})


def test_a_csv_file_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "latin.csv"
    file.write_bytes(b"a\n\xfc\n")
    assert refusal("csv_summary", {"path": str(file)}).endswith("not UTF-8 text")


def test_a_missing_file_is_reported() -> None:
    with pytest.raises(FileNotFoundError, match="no/such.csv"):
        run("csv_summary", {"path": "no/such.csv"})


@pytest.mark.parametrize(
    "state, message",
    [
        ({}, 'the state needs "path" or "text", and not both'),
        ({"path": "a", "text": "b"}, 'the state needs "path" or "text", and not both'),
        ({"path": 0}, "state.path must be text"),
        ({"text": None}, "state.text must be text"),
        ({"text": ""}, "state.text has no header"),
        ({"text": "\n\n"}, "state.text has no header"),
        ({"text": "a", "delimeter": ";"}, "state.delimeter is not a known key"),
    ],
)
def test_an_invalid_csv_state_has_a_message(state: dict[str, Any], message: str) -> None:
    assert refusal("csv_summary", state) == message


@pytest.mark.parametrize("delimiter", ["", ";;", "\n", '"', 1, None])
def test_a_delimiter_must_be_one_character(delimiter: Any) -> None:
    message = refusal("csv_summary", {"text": "a", "delimiter": delimiter})
    assert message.startswith("state.delimiter must be one character")


# --- url_check


class Site(ThreadingHTTPServer):
    """A small web site on loopback. Its slow pages take ten seconds, or until the site is closed."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Page)
        self.closing = threading.Event()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}{path}"


class Page(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        if self.path == "/ok":
            self.answer(200, b"hello")
        elif self.path == "/missing":
            self.answer(404, b"no such page")
        elif self.path == "/moved":
            self.answer(302, location="/ok")
        elif self.path == "/moved-for-good":
            self.answer(308, location="/ok")
        elif self.path == "/round-and-round":
            self.answer(302, location="/round-and-round")
        elif self.path == "/to-ftp":
            self.answer(302, location="ftp://127.0.0.1/file")
        elif self.path == "/to-file":
            self.answer(302, location="file:///etc/hostname")
        elif self.path == "/cut-short":
            self.answer(200, b"0123456789", length=100)
        elif self.path == "/no-length":
            self.answer(200, b"0123456789", length=None)
        elif self.path == "/slow":
            self.server.closing.wait(10)
        elif self.path == "/drops":
            self.answer(200, b"", length=1000)
            for _ in range(1000):
                self.server.closing.wait(0.01)
                self.wfile.write(b".")

    def answer(
        self, status: int, body: bytes = b"", location: str = "", length: Optional[int] = -1
    ) -> None:
        self.send_response(status)
        if location:
            self.send_header("Location", location)
        if length is not None:
            self.send_header("Content-Length", str(len(body) if length < 0 else length))
        self.end_headers()
        self.wfile.write(body)

    def handle(self) -> None:
        with contextlib.suppress(OSError):  # the module closed the connection, as expected
            super().handle()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("no_proxy", "*")
    with Site() as site:
        thread = threading.Thread(target=site.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield site
        site.closing.set()
        site.shutdown()
        thread.join()


def check(url: str, timeout: float = 60, **more: Any) -> dict[str, Any]:
    result = run("url_check", {"urls": [url], "timeout": timeout, **more})
    (found,) = result["checks"]
    assert set(result) == {"ok", "checks"} and result["ok"] == found["ok"]
    assert found["url"] == url and found.pop("seconds") >= 0
    del found["url"]
    return dict(found)


def test_a_page_that_responds_is_ok(site: Site) -> None:
    answer = {"ok": True, "status": 200, "bytes": 5, "error": None}
    assert check(site.url("/ok")) == answer


def test_a_missing_page_has_a_status_and_is_not_ok(site: Site) -> None:
    answer = {"ok": False, "status": 404, "bytes": 12, "error": "404 Not Found"}
    assert check(site.url("/missing")) == answer


@pytest.mark.parametrize("path", ["/moved", "/moved-for-good"])
def test_a_redirect_is_followed(site: Site, path: str) -> None:
    answer = {"ok": True, "status": 200, "bytes": 5, "error": None}
    assert check(site.url(path)) == answer


def test_a_redirect_without_end_is_not_ok(site: Site) -> None:
    found = check(site.url("/round-and-round"))
    assert (found["ok"], found["status"]) == (False, 302)
    assert "infinite loop" in found["error"] and "\n" not in found["error"]


@pytest.mark.parametrize("path", ["/to-ftp", "/to-file"])
def test_a_redirect_away_from_the_web_is_not_followed(site: Site, path: str) -> None:
    found = check(site.url(path))
    assert (found["ok"], found["status"]) == (False, 302)
    assert re.search("redirect(ion)? to .*(ftp|file):", found["error"], re.IGNORECASE)


@pytest.mark.parametrize("path", ["/slow", "/drops"])
def test_a_page_that_takes_too_long_times_out(site: Site, path: str) -> None:
    found = check(site.url(path), timeout=0.2)
    assert (found["ok"], found["error"]) == (False, "timed out")


def test_a_closed_port_is_reported_as_connection_refused(site: Site) -> None:
    with socket.socket() as bound:  # bound but not listening, so no other process can use the port
        bound.bind(("127.0.0.1", 0))
        found = check(f"http://127.0.0.1:{bound.getsockname()[1]}/")
    assert found == {"ok": False, "status": None, "bytes": 0, "error": "Connection refused"}


def test_no_more_than_max_bytes_of_a_page_is_read(site: Site) -> None:
    for path in ("/cut-short", "/no-length"):
        answer = {"ok": True, "status": 200, "bytes": 4, "error": None}
        assert check(site.url(path), max_bytes=4) == answer
    assert check(site.url("/no-length"))["bytes"] == 10
    assert check(site.url("/ok"), max_bytes=0)["bytes"] == 0


def test_a_page_that_is_cut_short_is_not_ok(site: Site) -> None:
    found = check(site.url("/cut-short"))
    assert (found["ok"], found["status"], found["bytes"]) == (False, 200, 10)
    assert found["error"] == "the body ended after 10 of 100 bytes"


def test_one_bad_page_of_several_makes_the_result_not_ok(site: Site) -> None:
    urls = [site.url("/ok"), site.url("/missing"), site.url("/ok")]
    result = run("url_check", {"urls": urls})
    assert [each["url"] for each in result["checks"]] == urls
    assert [each["ok"] for each in result["checks"]] == [True, False, True]
    assert result["ok"] is False


@pytest.mark.parametrize(
    "url, error",
    [
        ("http://127.0.0.1:port/", "nonnumeric port: 'port'"),
        ("http://127.0.0.1/\u00fc", "can't encode character '\\xfc'"),
        ("http://127.0.0.1/a b", "control characters"),
    ],
)
def test_an_unusable_url_is_a_failed_check(site: Site, url: str, error: str) -> None:
    found = check(url)
    assert (found["ok"], found["status"]) == (False, None)
    assert error in found["error"]


@pytest.mark.parametrize("url", ["ftp://host/", "file:///etc/hostname", "host", "http://", "", 7])
def test_only_http_and_https_urls_are_accepted(url: Any) -> None:
    message = refusal("url_check", {"urls": ["http://127.0.0.1/", url]})
    assert message == f"state.urls[1] must be an http or https URL, not {url!r}"


@pytest.mark.parametrize(
    "more, message",
    [
        ({"urls": []}, "state.urls must be a list of at least one URL"),
        ({"urls": "http://127.0.0.1/"}, "state.urls must be a list of at least one URL"),
        ({"timeout": 0}, "state.timeout must be seconds, more than 0 and at most 3600"),
        ({"timeout": "5"}, "state.timeout must be seconds, more than 0 and at most 3600"),
        ({"timeout": True}, "state.timeout must be seconds, more than 0 and at most 3600"),
        ({"max_bytes": -1}, "state.max_bytes must be a whole number, 0 or more"),
        ({"max_bytes": 1.5}, "state.max_bytes must be a whole number, 0 or more"),
        ({"url": "http://127.0.0.1/"}, "state.url is not a known key"),
    ],
)
def test_an_invalid_url_check_has_a_message(more: dict[str, Any], message: str) -> None:
    assert refusal("url_check", {"urls": ["http://127.0.0.1/"], **more}) == message
