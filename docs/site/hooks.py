"""Adds the pages that are not in docs/ to the site: the README, the changelog and the C++ reference."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
# Files of the repository that are pages of the site.
PAGES = {"README.md": "index.md", "CHANGELOG.md": "changelog.md"}
# Without this, the changelog is the first result of most searches.
FRONT_MATTER = {"changelog.md": "---\nsearch: {boost: 0.1}\n---\n"}


def on_files(files: Files, config: Any, **_: Any) -> Files:
    for source, page in PAGES.items():
        add(files, config, page, (ROOT / source).read_text())
    with tempfile.TemporaryDirectory() as folder:
        made = subprocess.run(
            [sys.executable, ROOT / "docs" / "reference.py", folder],
            stderr=subprocess.PIPE,
            text=True,
        )
        if made.returncode != 0:
            raise PluginError(f"the C++ reference could not be generated:\n{made.stderr}")
        for file in sorted(Path(folder).glob("*.md")):
            add(files, config, file.name, file.read_text())
    return files


def add(files: Files, config: Any, page: str, text: str) -> None:
    files.append(File.generated(config, page, content=FRONT_MATTER.get(page, "") + text))


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Makes links that work in the repository work in the site, and marks the signatures."""
    folder = ROOT if page.file.src_uri in PAGES.values() else ROOT / "docs"

    def replace(link: re.Match[str]) -> str:
        text, target, anchor = link[1], link[2], link[3] or ""
        try:
            path = (folder / target).resolve().relative_to(ROOT).as_posix()
        except ValueError:
            return link[0]
        if path in PAGES:
            return f"[{text}]({PAGES[path]}{anchor})"
        if path.startswith("docs/") and path.endswith(".md"):
            return f"[{text}]({path.removeprefix('docs/')}{anchor})"
        if path.startswith("cpp/include/pyhost/"):
            heading = Path(path).name.replace(".", "")
            return f"[{text}](cpp-reference.md#{heading})"
        return text if (ROOT / path).exists() else link[0]  # a file that is not in the site

    if page.file.src_uri == "cpp-reference.md":
        markdown = markdown.replace("```cpp\n", "```{ .cpp .signature }\n")
    parts = re.split(r"(^ *```.*?^ *```$)", markdown, flags=re.MULTILINE | re.DOTALL)
    for i in range(0, len(parts), 2):
        parts[i] = re.sub(r"\[([^]]*)\]\((?!\w+:)([^)#\s]+)(#[^)\s]*)?\)", replace, parts[i])
    return "".join(parts)
