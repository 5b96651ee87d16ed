"""Decompresses stdin to stdout. `pyhost map` runs this file for compressed states.

The arguments are the format and, in hex, the bytes of stdin that were read already.
"""

import gzip
import io
import os
import signal
import sys
from importlib import import_module
from shutil import copyfileobj
from typing import Any


class Stdin(io.RawIOBase):
    """Stdin from its beginning: first the bytes that were read already."""

    def __init__(self, first: bytes) -> None:
        self.first = first

    def readable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int:
        if not self.first:
            return os.readv(0, [into])
        size = min(len(into), len(self.first))
        into[:size], self.first = self.first[:size], self.first[size:]
        return size


def opened(form: str, source: io.BufferedReader) -> Any:
    if form == "gzip":
        return gzip.GzipFile(fileobj=source, mode="rb")
    try:
        return import_module("compression.zstd").ZstdFile(source)  # since Python 3.14
    except ImportError:
        pass
    try:
        decompressor = import_module("zstandard").ZstdDecompressor()
    except ImportError:
        sys.exit("Python 3.14 or the package zstandard is needed for zstd")
    return decompressor.stream_reader(source, read_across_frames=True)


def main(form: str, first: str) -> None:
    # pyhost ends this process by closing the pipe, so signals are ignored.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        stdin = io.BufferedReader(Stdin(bytes.fromhex(first)))
        copyfileobj(opened(form, stdin), sys.stdout.buffer)
        sys.stdout.flush()
    except Exception as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(*sys.argv[1:])
