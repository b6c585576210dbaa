"""Rows of an NDJSON file: one JSON object a line, numbers exact."""

from collections.abc import Iterator
from pathlib import Path

from schemas.validation import Fault, check_body
from services.ingest.history.files.opening import Opened
from services.ingest.history.files.text import LONGEST, Lines
from services.ingest.history.model import Row, Unread, Unusable
from services.ingest.rules import decode


def _is_array(path: Path, encoding: str | None) -> bool:
    opened = Opened(path, encoding)
    try:
        return opened.stream.read(1_000).lstrip()[:1] == b"["
    except (EOFError, OSError):
        return False  # Damaged: reading its lines will say so.
    finally:
        opened.close()


class NdjsonFile:
    """``services.ingest.history.files.reading.Reader`` of NDJSON."""

    columns = None

    def __init__(self, path: Path, encoding: str | None) -> None:
        if _is_array(path, encoding):
            raise Unusable(f"{path} is one JSON list, not lines: jq -c '.[]' {path} makes lines")
        self._lines = Lines(path, encoding)
        self.size = self._lines.size
        self.form = "NDJSON"

    def rows(self, offset: int = 0, line: int = 0) -> Iterator[Row | Unread]:
        """From a place that a row of before named as its ``end``."""
        lines = self._lines
        lines.skip_to(offset, line)
        recode = lines.encoding != "utf-8"
        while True:
            try:
                text = lines.read()
            except StopIteration:
                return
            if recode:
                text = text.decode(lines.encoding, "replace").encode()
            if text.isspace():
                continue
            said = (
                Fault("line_too_long") if len(text) >= LONGEST else check_body(text) or decode(text)
            )
            if isinstance(said, Fault):
                yield Unread(lines.line, lines.offset, said)
            else:
                yield Row(lines.line, lines.offset, said)

    def done(self) -> int:
        return self._lines.done()

    def close(self) -> None:
        self._lines.close()
