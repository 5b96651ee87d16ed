"""The messages of docs/troubleshooting.md are still those of the sources."""

from __future__ import annotations

import re

import pytest
from conftest import ROOT

PAGE = ROOT / "docs" / "troubleshooting.md"
MESSAGES = re.findall(r"^### `(.*)`$", PAGE.read_text(), re.MULTILINE)
# What differs each time: words in capital letters, except those that messages contain.
VARYING = re.compile(r"…|\b(?!JSON\b)[A-Z]{4,}\b|\bDIR\b")


def literals(text: str) -> str:
    """Joins string literals that follow each other, as a compiler does."""
    return re.sub(r'"\s*\n\s*f?"', "", text).replace('\\"', '"')


SOURCES = [
    literals(file.read_text())
    for folder in (ROOT / "cpp" / "src", ROOT / "python_modules")
    for file in sorted(folder.rglob("*"))
    if file.suffix in (".cpp", ".hpp", ".py")
]


def fixed_parts(message: str) -> list[str]:
    parts = [part.strip(" '") for part in VARYING.split(message)]
    return [part for part in parts if len(part) > 1]


@pytest.mark.parametrize("message", MESSAGES)
def test_the_fixed_text_of_a_message_is_in_the_sources(message: str) -> None:
    parts = fixed_parts(message)
    assert max(map(len, parts)) >= 10, "the heading has too little text of the message"
    near_each_other = re.compile(".{0,1500}?".join(map(re.escape, parts)), re.DOTALL)
    assert any(near_each_other.search(source) for source in SOURCES), parts


def test_the_page_explains_at_least_twenty_messages() -> None:
    assert len(set(MESSAGES)) >= 20


def test_each_message_has_one_cause_and_one_cure() -> None:
    sections = re.split(r"^##+ ", PAGE.read_text(), flags=re.MULTILINE)
    entries = [section for section in sections if section.startswith("`")]
    assert len(entries) == len(MESSAGES)
    for entry in entries:
        assert (entry.count("**Cause.**"), entry.count("**Cure.**")) == (1, 1), entry
