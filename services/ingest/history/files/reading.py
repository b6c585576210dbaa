"""Which reader a file needs."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from services.ingest.history.files.csvfile import CsvFile
from services.ingest.history.files.ndjson import NdjsonFile
from services.ingest.history.files.opening import is_parquet
from services.ingest.history.files.parquet import ParquetFile
from services.ingest.history.model import Mapping, Row, Unread, Unusable

_PACKED = (".gz", ".zst", ".zstd")
_ENDINGS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".json": "ndjson",
}


class Reader(Protocol):
    """An open file of rows."""

    @property
    def columns(self) -> Sequence[str] | None:
        """Where every row has the same."""

    size: int
    """What ``done`` comes to at the end."""
    form: str
    """What it was found to be, for people."""

    def rows(self, offset: int = 0, line: int = 0) -> Iterator[Row | Unread]:
        """The rows from a place on that an earlier row named as its ``end``, and its line."""

    def done(self) -> int:
        """How much of ``size`` was read."""

    def close(self) -> None: ...


def open_rows(path: Path, mapping: Mapping) -> Reader:
    """The reader of ``path``: as the mapping says, else by its first bytes and its name."""
    if path.is_dir():
        raise Unusable(f"{path} is a directory: name a file")
    packed = is_parquet(path)
    form = mapping.format or ("parquet" if packed else _by_name(path))
    if form == "parquet":
        return ParquetFile(path)
    if form == "ndjson":
        return NdjsonFile(path, mapping.encoding)
    return CsvFile(path, mapping.encoding, mapping.delimiter)


def _by_name(path: Path) -> str:
    name = path.name.lower()
    for ending in _PACKED:
        name = name.removesuffix(ending)
    form = _ENDINGS.get(Path(name).suffix)
    if form is None:
        raise Unusable(f"{path}: is it csv, ndjson or parquet? The mapping may say `format: csv`")
    return form
