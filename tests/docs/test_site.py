"""The links of the README and the pages lead somewhere, and the pages can be built as a site."""

from __future__ import annotations

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
from conftest import PATIENCE, ROOT, clean_environment, missing

PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
CONFIGURATION = ROOT / "docs" / "site" / "mkdocs.yml"
PYTHON = ROOT / "build" / "site-tools" / "bin" / "python"


def without_code(page: Path) -> str:
    """A page without its code blocks."""
    return re.sub(r"^ *```.*?^ *```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> list[str]:
    """The anchors of a page's headings, as code hosts and the site make them."""
    headings = re.findall(r"^#+ (.*)$", without_code(page), re.MULTILINE)
    texts = [re.sub(r"[^\w\- ]", "", heading.lower()).strip() for heading in headings]
    return [text.replace(" ", "-") for text in texts]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    text = re.sub(r"`[^`\n]*`", "", without_code(page))
    broken = []
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)", text):
        if re.match(r"https?://", target):
            continue
        file = page.parent / target if target else page
        if not file.exists() or (anchor and anchors(file).count(anchor) != 1):
            broken.append(f"{target}#{anchor}")
    assert not broken


class Loaded(HTMLParser):
    """Collects the addresses that a browser loads with a page."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag in ("script", "img", "iframe") or (
            tag == "link" and values.get("rel") != "canonical"
        ):
            self.addresses += [values.get("src") or values.get("href") or ""]


def test_the_site_builds_without_warnings_and_loads_nothing_from_other_hosts(
    tmp_path: Path,
) -> None:
    if not PYTHON.exists():
        missing("MkDocs is not installed; ./dev docs installs it")
    if shutil.which("doxygen") is None:
        missing("doxygen is not installed")
    done = subprocess.run(
        [PYTHON, "-m", "mkdocs", "build", "--strict", "-f", CONFIGURATION, "-d", tmp_path],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
        env=clean_environment(NO_MKDOCS_2_WARNING="1"),
    )
    assert done.returncode == 0, done.stdout
    for page in tmp_path.glob("*.html"):
        loaded = Loaded()
        loaded.feed(page.read_text())
        assert not [each for each in loaded.addresses if "//" in each], page.name
