"""Compiles every file of a build without precompiled headers, which hide that a file forgot an include.

    python3 tests/check_includes.py build/dev-3.11.7/compile_commands.json

It checks the syntax alone and links nothing. Exit code 1 if a file does not compile by itself.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path


def alone(command: str) -> list[str]:
    """The command of one file without its precompiled header and its output."""
    given = iter(shlex.split(command))
    words: list[str] = []
    for word in given:
        if word in ("-include", "-o"):
            next(given)
        elif word not in ("-c", "-Winvalid-pch"):
            words.append(word)
    return [*words, "-fsyntax-only"]


def complaint(entry: dict[str, str]) -> str:
    done = subprocess.run(
        alone(entry["command"]), cwd=entry["directory"], capture_output=True, text=True
    )
    return done.stderr if done.returncode else ""


def main() -> int:
    entries = json.loads(Path(sys.argv[1]).read_text())
    sources = [entry for entry in entries if "cmake_pch" not in entry["file"]]
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        complaints = list(filter(None, threads.map(complaint, sources)))
    print("".join(complaints), file=sys.stderr, end="")
    print(f"{len(sources)} files, of which {len(complaints)} do not compile by themselves")
    return 1 if complaints or not sources else 0


if __name__ == "__main__":
    sys.exit(main())
