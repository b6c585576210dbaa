"""The lines of a text file, with their places."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from services.ingest.history.files.opening import Opened
from services.ingest.history.model import Unusable

LONGEST = 1_000_000
"""Bytes of one line."""


class Lines(Iterator[str]):
    """Lines one after the other; ``offset`` and ``line`` are those of the last one's end."""

    def __init__(self, path: Path, encoding: str | None) -> None:
        self._opened = Opened(path, encoding)
        self.offset = self._opened.start
        self.line = 0
        self.too_long = False
        self.size = self._opened.size
        self.encoding = self._opened.encoding

    def __next__(self) -> str:
        """The next line with its end. UnicodeDecodeError, once, for one that is badly encoded."""
        return self.read().decode(self.encoding)

    def read(self) -> bytes:
        """The next line's bytes; of one that is too long only the beginning."""
        try:
            raw = self._opened.stream.readline(LONGEST)
            whole = raw
            while len(raw) == LONGEST and not raw.endswith(b"\n"):
                self.offset += len(raw)
                raw = self._opened.stream.readline(LONGEST)
        except (EOFError, OSError, zlib.error, gzip.BadGzipFile) as error:
            raise Unusable(f"the file is damaged after line {self.line}: {error}") from error
        if not whole:
            raise StopIteration
        self.offset += len(raw)
        self.line += 1
        return whole

    def skip_to(self, offset: int, line: int) -> None:
        """Go on from there."""
        if offset > self.offset:
            self._opened.skip_to(offset, self.offset)
            self.offset, self.line = offset, line

    def done(self) -> int:
        """How many of the file's ``size`` bytes have been read."""
        return self._opened.done()

    def close(self) -> None:
        self._opened.close()
