"""Writes the C++ reference as one Markdown page, cpp-reference.md: python3 docs/reference.py FOLDER

Doxygen reads the public headers. A public name without a comment is an error.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

HEADERS = Path(__file__).resolve().parent.parent / "cpp" / "include" / "pyhost"
# In the headers each of these begins a line. On the page it begins a paragraph.
LABELS = re.compile(r"^( *///) (Throws|Thread|GIL|Ownership|Units|Default): ", re.MULTILINE)
WIDEST = 72
DOXYFILE = """
INPUT = headers
EXTRACT_ALL = YES
EXCLUDE_SYMBOLS = pyhost::detail pyhost::detail::*
GENERATE_HTML = NO
GENERATE_LATEX = NO
GENERATE_XML = YES
XML_PROGRAMLISTING = NO
QUIET = YES
WARN_AS_ERROR = FAIL_ON_WARNINGS
"""
INTRODUCTION = """# C++ reference

This page is generated from the headers in `cpp/include/pyhost`. All names are in the namespace `pyhost`.
`#include <pyhost/pyhost.hpp>` includes every header."""


@dataclass
class Name:
    """A class, function, member, enumerator, alias or concept."""

    id: str
    kind: str
    name: str  # with its class, without the namespace
    comment: str
    code: str
    place: tuple[int, int]  # the number of the header, and the line
    members: list[Name]

    @property
    def is_item(self) -> bool:
        """Whether it stands in a list instead of below a heading."""
        return self.kind in ("enumvalue", "variable")

    @property
    def is_special(self) -> bool:
        """Whether it is a constructor, a destructor or an assignment."""
        owner, _, last = self.name.rpartition("::")
        return last.lstrip("~") == owner.rpartition("::")[2] or last == "operator="


# --- reading


class Reader:
    """The headers, and the public names in them."""

    def __init__(self) -> None:
        contents = (HEADERS / "pyhost.hpp").read_text()
        self.headers = re.findall(r'#include "pyhost/(\w+\.hpp)"', contents)
        texts = [(HEADERS / header).read_text() for header in self.headers]
        self.sources = [LABELS.sub(r"\1\n\1 **\2:** ", text) for text in texts]
        with tempfile.TemporaryDirectory() as work:
            (Path(work) / "headers").mkdir()
            for header, source in zip(self.headers, self.sources):
                (Path(work) / "headers" / header).write_text(source)
            subprocess.run(["doxygen", "-"], input=DOXYFILE, text=True, cwd=work, check=True)
            trees = [ET.parse(file) for file in (Path(work) / "xml").glob("*.xml")]
        compounds = [each for tree in trees for each in tree.iter("compounddef")]
        self.compounds = {each.attrib["id"]: each for each in compounds}
        self.all: list[Name] = []
        concepts = [each for each in compounds if each.get("kind") == "concept"]
        self.names = self.read_members(self.compounds["namespacepyhost"], concepts)

    def read_members(self, owner: ET.Element, more: Iterable[ET.Element] = ()) -> list[Name]:
        """The public names in a namespace, class or enumeration, in the order of the headers."""
        found = [*more, *owner.iterfind("enumvalue")]
        for inner in owner.iterfind("innerclass[@prot='public']"):
            found.append(self.compounds[inner.attrib["refid"]])
        for member in owner.iterfind("sectiondef/memberdef[@prot='public']"):
            deleted = member.findtext("argsstring", "").endswith("=delete")
            if member.get("kind") != "friend" and not deleted:
                found.append(member)
        names: list[Name] = []
        for name in sorted((self.read(each, owner) for each in found), key=lambda it: it.place):
            if names and name.name == names[-1].name and not name.comment:
                names[-1].code += f"\n{name.code}"  # this overload shares the comment
            else:
                names.append(name)
        self.all += names
        return names

    def read(self, element: ET.Element, owner: ET.Element) -> Name:
        kind = element.get("kind", "enumvalue")
        name = element.findtext("compoundname", "") or element.findtext("qualifiedname", "")
        place, code = (0, 0), ""
        if kind == "enumvalue":
            last = element.findtext("name", "")
            name = f"{owner.findtext('qualifiedname')}::{last}"
            code = f"{last} {element.findtext('initializer', '')}".strip()
        for location in element.iterfind("location"):
            number = self.headers.index(Path(location.attrib["file"]).name)
            place = (number, int(location.attrib["line"]))
            code = declaration(self.sources[number].splitlines(), place[1] - 1, kind)
        return Name(element.attrib["id"], kind, name.removeprefix("pyhost::"), comment(element),
                    code, place, self.read_members(element))  # fmt: skip


def declaration(lines: list[str], at: int, kind: str) -> str:
    """The declaration that stands in this line, without a body."""
    while lines[at - 1].lstrip().startswith(("template", "requires")):
        at -= 1
    text = "\n".join(lines[at : at + 12])
    if kind == "variable":
        return " ".join(text.partition(";")[0].split())
    stops = {"function": (";", "{", " : "), "concept": (";",), "typedef": (";",)}.get(kind, ("{",))
    brackets = "([{)]}" if kind == "concept" else "([)]"
    half = len(brackets) // 2
    depth = 0
    for end, letter in enumerate(text):
        depth += (letter in brackets[:half]) - (letter in brackets[half:])
        if depth == 0 and text.startswith(stops, end):
            break
    text = textwrap.dedent(text[:end]).rstrip() + ";"
    if kind == "function" and max(map(len, text.splitlines())) > WIDEST:
        # one parameter for each line
        text = re.sub(r"\((.+)\)", lambda it: f"(\n    {it[1]})".replace(", ", ",\n    "), text)
    return text


# --- writing


def markdown(element: ET.Element) -> str:
    text = (element.text or "").replace("<", "&lt;")
    for child in element:
        text += markdown(child) + (child.tail or "").replace("<", "&lt;")
    if element.tag in ("para", "itemizedlist"):
        return f"\n\n{text}\n\n"
    if element.tag == "listitem":
        return "- " + textwrap.indent(text.strip(), "    ").lstrip() + "\n"
    if element.tag == "verbatim":
        return "\n\n```text\n" + "".join(element.itertext()).strip() + "\n```\n\n"
    if element.tag == "computeroutput":
        return f"`{''.join(element.itertext())}`"
    if element.tag == "bold":
        return f"**{text}**"
    # A single word is often not meant as a name.
    is_link = element.tag == "ref" and re.search(r"::|\(", text)
    return f"[{text}](#{element.get('refid')})" if is_link else text


def comment(element: ET.Element) -> str:
    parts = [element.find(f"{length}description") for length in ("brief", "detailed")]
    text = "\n\n".join(markdown(part) for part in parts if part is not None)
    return re.sub(r"[ \n]*\n\n", "\n\n", text).strip()


class Page:
    """The Markdown of the reference."""

    def __init__(self, reader: Reader) -> None:
        self.anchors: dict[str, str] = {}  # of the headings, by Doxygen's ids
        parts = [INTRODUCTION]
        for number, header in enumerate(reader.headers):
            here = [name for name in reader.names if name.place[0] == number]
            if here:
                lines = reader.sources[number].splitlines()
                opening = takewhile(lambda line: line.startswith("//"), lines)
                parts += [f"## {header}", " ".join(line.removeprefix("// ") for line in opening)]
                parts += self.write(here, 3)
        text = "\n\n".join(filter(None, parts)) + "\n"
        self.text = re.sub(r"\[([^]]*)\]\(#(\w+)\)", self.resolve, text)

    def write(self, names: list[Name], level: int, anchor: str = "") -> Iterator[str]:
        """Names as Markdown. The members that have no heading of their own come first."""
        items = [f"`{name.code}`  \n{name.comment}" for name in names if name.is_item]
        between = "\n\n" if any("\n\n" in item for item in items) else "\n"
        yield between.join("- " + textwrap.indent(item, "    ").lstrip() for item in items)
        heading = ""
        for name in sorted(names, key=lambda name: (not name.is_item, not name.is_special)):
            if not name.is_item and not name.is_special and name.name != heading:
                heading = name.name
                anchor = self.new_anchor(heading)
                yield f"{'#' * level} {heading}"
            self.anchors[name.id] = anchor
            if not name.is_item:
                yield f"```cpp\n{name.code}\n```"
                yield name.comment
                yield from self.write(name.members, level + 1, anchor)

    def new_anchor(self, heading: str) -> str:
        """Returns the anchor that MkDocs makes of a heading."""
        first = anchor = re.sub(r"[^\w-]", "", heading.lower())
        count = 0
        while anchor in self.anchors.values():
            count += 1
            anchor = f"{first}_{count}"
        return anchor

    def resolve(self, link: re.Match[str]) -> str:
        anchor = self.anchors.get(link[2])
        return f"[{link[1]}](#{anchor})" if anchor else link[1]


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: python3 docs/reference.py FOLDER")
    if shutil.which("doxygen") is None:
        sys.exit("docs/reference.py: doxygen is not installed; apt-get install doxygen")
    reader = Reader()
    missing = [name.name for name in reader.all if not name.comment]
    if missing:
        sys.exit("these public names have no comment:\n  " + "\n  ".join(missing))
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cpp-reference.md").write_text(Page(reader).text)


if __name__ == "__main__":
    main()
