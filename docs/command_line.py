"""Writes docs/command-line.md from the help of the program: python3 docs/command_line.py PATH/TO/pyhost"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

PAGE = Path(__file__).resolve().parent / "command-line.md"
INTRODUCTION = """# Command-line reference

<!-- Generated from the program's help by: python3 docs/command_line.py PATH/TO/pyhost -->

`pyhost COMMAND --help` shows the same texts. *Variable* is the environment variable that sets an
option. An option on the command line takes precedence over its variable, and the variable over the
[project file](project-file.md)."""
SHARED = "Options of all "
# What is shown as code where the help does not mark it: addresses, paths, options, names of variables.
CODE = re.compile(
    r"""(?<![\w/.-])(
      \w+://[\w:.]*\w | [\w.]+/(?:[\w./]*[\w/])? | \.venv | @FILE | \[\[?[\w.]+\]\]?
      | -?-[a-z][\w-]*(?:[ ](?:[A-Z]+|json|process)\b)? | -(?=[ ]) | :(?=\.) | \.(?=[ ]if)
      | \w+_\w+ | PYTHON[A-Z]+ | \w+=\w+ | \w+:\w+:\w+ | \w+\.\w+[.:]\w+ | [a-z]+:[A-Z]+ | \w+\(\)
    )(?![\w/])""",
    re.VERBOSE,
)


@dataclass
class Item:
    """An option, an argument or a subcommand."""

    name: str
    description: str


@dataclass
class Help:
    """The help of one command."""

    command: str
    summary: str = ""
    usage: str = ""
    notes: list[str] = field(default_factory=list)  # paragraphs
    examples: list[str] = field(default_factory=list)
    sections: dict[str, list[Item]] = field(default_factory=dict)  # by title
    subcommands: list[Help] = field(default_factory=list)


# --- reading


def read_help(program: str, *words: str) -> Help:
    environment = {key: os.environ[key] for key in os.environ if not key.startswith("PYHOST_")}
    text = subprocess.run(
        [program, *words, "--help"], check=True, capture_output=True, text=True, env=environment
    ).stdout
    page = Help(" ".join(["pyhost", *words]))
    page.summary, _, rest = text.partition("\n")
    for block in re.split(r"\n\n+|\n(?=Usage: )", rest.strip()):
        first, *lines = block.splitlines()
        if first.startswith("Usage: "):
            page.usage = first.removeprefix("Usage: ")
        elif first in ("Example:", "Examples:"):
            page.examples = [line.strip() for line in lines]
        elif first.endswith(":") and lines and lines[0].startswith("  "):
            page.sections[first.removesuffix(":")] = read_items(lines)
        else:
            page.notes.append(" ".join(line.strip() for line in block.splitlines()))
    page.subcommands = [
        read_help(program, *words, item.name) for item in page.sections.pop("Subcommands", [])
    ]
    return page


def read_items(lines: list[str]) -> list[Item]:
    """An item begins in column 2. Its description follows it, or stands below it further right."""
    items: list[Item] = []
    for line in lines:
        name, _, description = line.strip().partition("  ")
        if re.match(r"  \S", line):
            items.append(Item(name, description.strip()))
        else:
            items[-1].description += " " * bool(items[-1].description) + line.strip()
    return items


# --- writing


def write_page(program: str) -> str:
    top = read_help(program)
    parts = [INTRODUCTION, *write_options(top), *write_commands(top)]
    for command in top.subcommands:
        # A command without notes of its own shows those of the program.
        command.notes = [note for note in command.notes if note not in top.notes]
        parts += write_help(command, 2)
    return "\n\n".join(parts) + "\n"


def write_help(page: Help, level: int) -> list[str]:
    parts = [f"{'#' * level} {page.command}", marked(page.summary)]
    parts.append(f"```text\n{page.usage}\n```")
    if page.examples:
        parts.append("\n".join(["```sh", *page.examples, "```"]))
    shared: dict[str, list[Item]] = {}
    for command in page.subcommands:
        shared |= {key: command.sections[key] for key in command.sections if key.startswith(SHARED)}
    for title, items in shared.items():
        names = [item.name for item in items]
        own = [item for item in page.sections["Options"] if item.name not in names]
        page.sections |= {"Options": own, title: items}
    parts += write_options(page)
    parts += [marked(note) for note in page.notes if not note.startswith("Exit codes: ")]
    parts += [write_exit_codes(note) for note in page.notes if note.startswith("Exit codes: ")]
    parts += write_commands(page)
    for title, items in shared.items():
        parts += [f"{'#' * (level + 1)} {title.replace('`', '')}", write_table("option", items)]
    for command in page.subcommands:
        parts += write_help(command, level + 1)
    return parts


def write_options(page: Help) -> list[str]:
    parts = []
    for title, items in page.sections.items():
        if title.startswith(SHARED):
            plain = title.replace("`", "")
            parts.append(f"The [{plain[0].lower()}{plain[1:]}](#{anchor(plain)}) apply, too.")
        else:
            parts.append(write_table("argument" if title == "Positionals" else "option", items))
    return parts


def write_commands(page: Help) -> list[str]:
    rows = [
        f"| [`{each.command}`](#{anchor(each.command)}) | {cell(each.summary)} |"
        for each in page.subcommands
    ]
    return ["\n".join(["| command | |", "|---|---|", *rows])] if rows else []


def write_table(kind: str, items: list[Item]) -> str:
    rows = [f"| {write_name(item.name)} | {write_description(item)} |" for item in items]
    return "\n".join([f"| {kind} | meaning |", "|---|---|", *rows])


def write_name(name: str) -> str:
    """`-j,--jobs UINT:INT in [1 - 1024] (Env:X)` is `-j`, `--jobs`."""
    return ", ".join(f"`{each}`" for each in name.split(" ")[0].split(","))


def write_description(item: Item) -> str:
    parts = [item.description.rstrip(".") + "."]
    choices = re.search(r":\{(.*?)\}", item.name)
    values = choices[1].split(",") if choices else []
    if any(not re.search(rf"\b{value}\b", item.description) for value in values):
        parts.append("One of " + ", ".join(f"`{each}`" for each in values) + ".")
    limits = re.search(r" in \[(\S+) - (\S+)\]", item.name)
    if limits:
        parts.append(f"From {float(limits[1]):,.15g} to {float(limits[2]):,.15g}.")
    default = re.search(r"=(\w+)(?= |$)", item.name)
    if default:
        parts.append(f"Default: `{default[1]}`.")
    if " REQUIRED" in item.name:
        parts.append("Required.")
    if item.name.endswith("...") and "repeated" not in item.description:
        parts.append("May be repeated.")
    variable = re.search(r"\(Env:(\w+)\)", item.name)
    if variable:
        parts.append(f"Variable: `{variable[1]}`.")
    return cell(re.sub(r" \(Env:(\w+)(.*?)\)", r". Variable: \1\2", " ".join(parts)))


def write_exit_codes(note: str) -> str:
    """ "Exit codes: 0 ok; 2 usage." as a table."""
    rows = []
    for each in note.removeprefix("Exit codes: ").rstrip(".").split("; "):
        code, _, meaning = each.partition(" ")
        if not code[0].isdigit():
            return marked(note)
        rows.append(f"| {code} | {cell(meaning)} |")
    return "\n".join(["| exit code | meaning |", "|---|---|", *rows])


def cell(text: str) -> str:
    return marked(text).replace("|", "\\|")


def marked(text: str) -> str:
    parts = re.split(r"(`[^`]*`)", text)
    for i in range(0, len(parts), 2):
        parts[i] = CODE.sub(r"`\1`", parts[i])
    return "".join(parts)


def anchor(heading: str) -> str:
    return heading.lower().replace(" ", "-")


def main() -> None:
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: python3 docs/command_line.py PATH/TO/pyhost [FILE]")
    (Path(sys.argv[2]) if len(sys.argv) == 3 else PAGE).write_text(write_page(sys.argv[1]))


if __name__ == "__main__":
    main()
