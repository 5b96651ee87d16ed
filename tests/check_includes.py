"""Compiles every file by itself, since precompiled headers hide a missing include.

    python3 tests/check_includes.py build/includes-3.11.7/compile_commands.json

Only the syntax is checked; nothing is linked. The exit code is 1 if a file does not compile by itself.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path


def syntax_check(command: str) -> list[str]:
    """The compile command with -fsyntax-only and without its output file."""
    words = shlex.split(command)
    output = words.index("-o")
    return [*words[:output], *words[output + 2 :], "-fsyntax-only"]


def complaint(entry: dict[str, str]) -> str:
    done = subprocess.run(
        syntax_check(entry["command"]), cwd=entry["directory"], capture_output=True, text=True
    )
    return done.stderr if done.returncode else ""


def main() -> int:
    sources = json.loads(Path(sys.argv[1]).read_text())
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        complaints = list(filter(None, threads.map(complaint, sources)))
    print("".join(complaints), file=sys.stderr, end="")
    print(f"{len(sources)} files; {len(complaints)} of them do not compile by themselves")
    return 1 if complaints or not sources else 0


if __name__ == "__main__":
    sys.exit(main())
