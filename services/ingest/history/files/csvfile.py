"""Rows of a CSV file (RFC 4180): quotes, line ends within quotes, a sniffed delimiter."""

import csv
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from schemas.validation import Fault
from services.ingest.history.files.opening import Opened
from services.ingest.history.files.text import Lines
from services.ingest.history.model import Row, Unread, Unusable

DELIMITERS = ",;\t|"
_SAMPLE = 64 * 1024


class CsvFile:
    """``services.ingest.history.files.reading.Reader`` of CSV."""

    def __init__(self, path: Path, encoding: str | None, delimiter: str | None) -> None:
        sample = _sample(path, encoding)
        self.delimiter = delimiter or sniff(sample)
        self._lines = Lines(path, encoding)
        self.size = self._lines.size
        self._reader = csv.reader(self._lines, delimiter=self.delimiter, strict=True)
        try:
            self.columns: Sequence[str] = self._header(path)
        except Unusable:
            self.close()
            raise
        self.form = f"CSV, delimiter {_NAMES.get(self.delimiter, self.delimiter)}"

    def _header(self, path: Path) -> list[str]:
        try:
            header = next(self._reader, None)
        except csv.Error as error:
            raise Unusable(f"{path}: the first line cannot be read as CSV: {error}") from error
        if not header or not any(name.strip() for name in header):
            raise Unusable(f"{path}: the first line must name the columns")
        return _names(header)

    def rows(self, offset: int = 0, line: int = 0) -> Iterator[Row | Unread]:
        """From a place that a row of before named as its ``end``."""
        lines, columns, width = self._lines, self.columns, len(self.columns)
        lines.skip_to(offset, line)
        while True:
            first = lines.line + 1
            try:
                cells = next(self._reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield Unread(first, lines.offset, Fault("bad_csv", f"{error}".capitalize() + "."))
                continue
            except UnicodeDecodeError:
                detail = f"Not {lines.encoding}: the mapping may say `encoding: cp1252`."
                yield Unread(first, lines.offset, Fault("bad_encoding", detail))
                continue
            if len(cells) == width:
                values = [cell if cell and not cell.isspace() else None for cell in cells]
                yield Row(first, lines.offset, dict(zip(columns, values, strict=True)))
            elif cells:
                detail = f"The row has {len(cells)} cells and the first line {width} names."
                yield Unread(first, lines.offset, Fault("bad_columns", detail))

    def done(self) -> int:
        return self._lines.done()

    def close(self) -> None:
        self._lines.close()


_NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}


def sniff(sample: str) -> str:
    """The delimiter that splits the first rows most, and all alike."""
    best, most = ",", (0, 1)
    for delimiter in DELIMITERS:
        try:
            reader = csv.reader(sample.splitlines(keepends=True), delimiter=delimiter)
            widths = [len(row) for row in islice(reader, 50) if row]
        except csv.Error:
            continue
        if widths:
            alike = widths[0] > 1 and sum(width == widths[0] for width in widths) * 2 > len(widths)
            best, most = max((best, most), (delimiter, (int(alike), widths[0])), key=lambda x: x[1])
    return best


def _sample(path: Path, encoding: str | None) -> str:
    """The first lines, or why they cannot be read."""
    opened = Opened(path, encoding)
    try:
        raw = opened.stream.read(_SAMPLE)
    except (EOFError, OSError) as error:
        raise Unusable(f"{path} cannot be unpacked: {error}") from error
    finally:
        opened.close()
    whole = raw if len(raw) < _SAMPLE else raw[: raw.rfind(b"\n") + 1]
    try:
        return whole.decode(opened.encoding)
    except UnicodeDecodeError as error:
        line = whole.count(b"\n", 0, error.start) + 1
        raise Unusable(
            f"{path}, line {line}: this is not {opened.encoding}. Files of Excel on Windows often "
            "are Windows-1252: then the mapping says `encoding: cp1252`"
        ) from error


def _names(header: Sequence[str]) -> list[str]:
    """The columns' names, each one different."""
    names: list[str] = []
    for index, name in enumerate(header, 1):
        name = name.strip() or f"column {index}"
        count = 2
        while name in names:
            name, count = f"{header[index - 1].strip()} ({count})", count + 1
        names.append(name)
    return names
