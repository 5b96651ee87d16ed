"""Compiles every file by itself, since precompiled headers hide a missing include.

    python3 tests/check_includes.py build/includes-3.11.7/compile_commands.json

Only the syntax is checked; nothing is linked. The exit code is 1 if a file does not compile by itself.

The header of all of pyhost is precompiled for the files whose first code is that header. This hides nothing, as the
compiler would read it first anyway, and saves a third of the time.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

LARGE = "pyhost/pyhost.hpp"


class File:
    """A file to check, from its entry in compile_commands.json."""

    def __init__(self, entry: dict[str, str]) -> None:
        self.path = Path(entry["file"])
        self.directory = entry["directory"]
        self.precompiled: Path | None = None
        words = shlex.split(entry["command"])
        output = words.index("-o")
        self._compile = [*words[:output], *words[output + 2 : words.index("-c")]]
        self._folders = [Path(word[2:]) for word in words if word.startswith("-I")]

    def begins_with_large(self) -> bool:
        return self._reaches_large(self.path)

    def _reaches_large(self, path: Path) -> bool:
        """Whether LARGE comes before any code of pyhost, except for public headers, which are checked themselves."""
        for line in map(str.strip, path.read_text().splitlines()):
            if not line or line.startswith("//") or line == "#pragma once":
                continue
            included = re.match(r'#include [<"]([^>"]+)[>"]', line)
            if not included:
                return False
            if included[1] == LARGE:
                return True
            for folder in (path.parent, *self._folders):
                if folder.name != "include" and (folder / included[1]).is_file():
                    return self._reaches_large(folder / included[1])
        return False

    def flags(self) -> tuple[str, ...]:
        """The words on which a precompiled header depends. Public headers use no macro of pyhost's build."""
        return tuple(word for word in self._compile if not word.startswith(("-DPYHOST_", "-I")))

    def precompile(self, header: Path) -> None:
        header.write_text(f"#include <{LARGE}>\n")
        to = ["-x", "c++-header", str(header), "-o", f"{header}.gch"]
        words = [word for word in self._compile if not word.startswith("-DPYHOST_")]
        subprocess.run([*words, *to], cwd=self.directory, capture_output=True)

    def complaint(self) -> str:
        """What the compiler says if the file does not compile."""
        first = ["-include", str(self.precompiled)] if self.precompiled else []
        done = subprocess.run(
            [*self._compile, *first, "-fsyntax-only", str(self.path)],
            cwd=self.directory,
            capture_output=True,
            text=True,
        )
        return done.stderr if done.returncode else ""


def precompile_for(files: list[File], folder: Path) -> None:
    """Precompiles LARGE for each group of files that begin with it and have the same flags."""
    groups: dict[tuple[str, ...], list[File]] = {}
    for file in files:
        if file.begins_with_large():
            groups.setdefault(file.flags(), []).append(file)
    for number, group in enumerate(groups.values()):
        if len(group) > 3:  # otherwise it takes longer
            header = folder / f"{number}.hpp"
            group[0].precompile(header)
            for file in group:
                file.precompiled = header


def main() -> int:
    files = list(map(File, json.loads(Path(sys.argv[1]).read_text())))
    with tempfile.TemporaryDirectory() as folder:
        precompile_for(files, Path(folder))
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            found = list(filter(None, threads.map(File.complaint, files)))
    print("".join(found), file=sys.stderr, end="")
    print(f"{len(files)} files; {len(found)} of them do not compile by themselves")
    return 1 if found or not files else 0


if __name__ == "__main__":
    sys.exit(main())
