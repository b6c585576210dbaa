"""Rows of a Parquet file, a row group and a slice of it at a time."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from services.ingest.history.model import Row, Unread, Unusable

_SLICE = 1_000


class ParquetFile:
    """``services.ingest.history.files.reading.Reader`` of Parquet."""

    def __init__(self, path: Path) -> None:
        try:
            from pyarrow import ArrowException, parquet
        except ImportError as error:
            raise Unusable(
                "Parquet needs pyarrow: install Regulars with its extra, regulars[history]"
            ) from error
        try:
            self._file: Any = parquet.ParquetFile(path)
        except (ArrowException, OSError) as error:
            raise Unusable(f"{path}: {error}") from error
        self.columns: Sequence[str] = list(self._file.schema_arrow.names)
        self.size = self._file.metadata.num_rows
        self.form = "Parquet"
        self._read = 0

    def rows(self, offset: int = 0, line: int = 0) -> Iterator[Row | Unread]:
        """From the row of that number."""
        number = 0
        for group in range(self._file.num_row_groups):
            count = self._file.metadata.row_group(group).num_rows
            if number + count <= offset:
                number += count
                continue
            for batch in self._file.iter_batches(batch_size=_SLICE, row_groups=[group]):
                if number + batch.num_rows <= offset:
                    number += batch.num_rows
                    continue
                for cells in batch.to_pylist():
                    number += 1
                    if number > offset:
                        self._read = number
                        yield Row(number, number, cells)

    def done(self) -> int:
        """How many of its ``size`` rows have been read."""
        return self._read

    def close(self) -> None:
        self._file.close()
