"""Compares the page about performance and the README's table with the stored figures, and checks the check of counts."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from conftest import ROOT

sys.path.append(str(ROOT / "tests" / "benchmarks"))
import counts
import report


def test_the_page_the_chart_and_the_readme_have_the_stored_figures() -> None:
    measured = report.measured()
    assert report.PAGE.read_text() == report.page(measured)
    assert report.CHART.read_text() == report.chart(measured)
    text = report.README.read_text()
    assert text == report.readme(text, measured[0])
    assert "| operation | compared with |" in text


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "counts.json"
    file.write_text(json.dumps({"Python 3.11": {"one": {"orjson": 1.0}, "two": {"orjson": 0.5}}}))
    monkeypatch.setattr(counts, "STORED", file)
    return file


@pytest.mark.parametrize(
    ("key", "ratio", "passes", "says"),
    [
        ("Python 3.11", 1.04, False, "grew: one, from 1.000 to 1.040 x orjson"),
        ("Python 3.11", 1.02, True, "no stored ratio grew by more than 3 %"),
        ("Python 3.11", 0.90, True, "shrank: one, from 1.000 to 0.900 x orjson"),
        ("Python 3.12", 9.00, True, "not checked: no ratios are stored for these versions"),
    ],
)
def test_a_ratio_that_grew_by_more_than_3_percent_fails_the_check(
    stored: Path,
    capsys: pytest.CaptureFixture[str],
    key: str,
    ratio: float,
    passes: bool,
    says: str,
) -> None:
    assert counts.check(key, {"one": {"orjson": ratio}}) == passes
    assert says in capsys.readouterr().out


def test_accepted_ratios_replace_only_those_of_the_same_rows_and_versions(stored: Path) -> None:
    counts.accept("Python 3.11", {"one": {"orjson": 1.2}})
    counts.accept("Python 3.13", {"one": {"orjson": 0.8}})
    assert json.loads(stored.read_text()) == {
        "Python 3.11": {"one": {"orjson": 1.2}, "two": {"orjson": 0.5}},
        "Python 3.13": {"one": {"orjson": 0.8}},
    }
