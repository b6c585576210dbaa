"""A file as a stream of bytes in UTF-8 or a single-byte encoding, uncompressed.

Offsets are places in that stream. Where it is the file itself a reader can jump to one;
otherwise what lies before is read and thrown away.
"""

import codecs
import gzip
import io
from pathlib import Path
from typing import BinaryIO

import cramjam

from services.ingest.history.model import Unusable

_CHUNK = 128 * 1024
_GZIP, _ZSTD, _PARQUET = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PAR1"
_OTHERS = {b"PK\x03\x04": "a ZIP archive or an Excel workbook", b"BZh": "compressed by bzip2"}
_WIDE = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


class Opened:
    """An open text file: its ``stream`` after any byte order mark, and its ``encoding``."""

    def __init__(self, path: Path, encoding: str | None) -> None:
        self._file = open_file(path)
        try:
            self._open(path, encoding)
        except BaseException:
            self._file.close()
            raise

    def _open(self, path: Path, encoding: str | None) -> None:
        self.size = path.stat().st_size
        head = self._file.read(4)
        self._file.seek(0)
        raw: BinaryIO = self._file
        self._plain = False
        if head.startswith(_GZIP):
            raw = io.BufferedReader(gzip.GzipFile(fileobj=self._file), _CHUNK)
        elif head.startswith(_ZSTD):
            raw = io.BufferedReader(_Zstd(self._file), _CHUNK)
        else:
            self._plain = True
        self.stream, self.encoding, self.start = self._recoded(raw, encoding)

    def _recoded(self, raw: BinaryIO, encoding: str | None) -> tuple[BinaryIO, str, int]:
        """The stream, what its bytes are encoded in, and where its text begins."""
        head = _peek(raw, 4)
        wide = next((name for mark, name in _WIDE.items() if head.startswith(mark)), None)
        asked = None if encoding is None else codec(encoding)
        if wide is None and asked is not None and asked.startswith(("utf-16", "utf-32")):
            wide = asked
        if wide is not None:
            self._plain = False
            return io.BufferedReader(_Recoder(raw, wide), _CHUNK), "utf-8", 0
        if head.startswith(codecs.BOM_UTF8):
            raw.read(3)
            return raw, "utf-8", 3
        if b"\0" in head:
            raise Unusable(
                "the file is neither text nor Parquet (or UTF-16 without a mark: then "
                "the mapping says `encoding: utf-16-le`)"
            )
        return raw, asked or "utf-8", 0

    def skip_to(self, offset: int, now: int) -> None:
        """Go on from a place in the stream; it is at ``now``."""
        if self._plain:
            self.stream.seek(offset)
            return
        left = offset - now
        while left > 0:
            read = self.stream.read(min(left, _CHUNK))
            if not read:
                raise Unusable("the file is shorter than it was: use --restart")
            left -= len(read)

    def done(self) -> int:
        """How many of the file's ``size`` bytes have been read."""
        return self._file.tell()

    def close(self) -> None:
        self.stream.close()
        self._file.close()


def open_file(path: Path) -> BinaryIO:
    """The file, or why it cannot be read."""
    try:
        return path.open("rb")
    except OSError as error:
        raise Unusable(f"{path}: {error.strerror}") from error


def is_parquet(path: Path) -> bool:
    """Whether the file says so by its first bytes; Unusable where they say worse."""
    with open_file(path) as file:
        head = file.read(4)
    for magic, what in _OTHERS.items():
        if head.startswith(magic):
            raise Unusable(f"{path} is {what}: unpack it, or save it as CSV in UTF-8")
    return head == _PARQUET


def codec(name: str) -> str:
    """The encoding's name as Python has it."""
    try:
        return codecs.lookup(name).name
    except LookupError as error:
        raise Unusable(f"encoding: there is no {name!r}; common ones are utf-8, cp1252") from error


def _peek(raw: BinaryIO, size: int) -> bytes:
    peek = getattr(raw, "peek", None)
    try:
        return bytes(peek(size)[:size]) if peek is not None else b""
    except (EOFError, OSError, ValueError) as error:
        raise Unusable(f"the file cannot be unpacked: {error}") from error


class _Zstd(io.RawIOBase):
    """Zstandard, a chunk at a time."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self._decompressor = cramjam.zstd.Decompressor()
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        target = memoryview(buffer)  # type: ignore[arg-type]
        while not self._ready:
            packed = self._raw.read(16 * 1024)
            if not packed:
                return 0
            try:
                self._decompressor.decompress(packed)
                self._ready = memoryview(bytes(self._decompressor.flush()))
            except cramjam.DecompressionError as error:
                raise OSError(str(error)) from error
        size = min(len(target), len(self._ready))
        target[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size


class _Recoder(io.RawIOBase):
    """Text of two bytes a character, as UTF-8."""

    def __init__(self, raw: BinaryIO, encoding: str) -> None:
        self._raw = raw
        self._decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
        self._ready = b""
        self._first = True

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        target = memoryview(buffer)  # type: ignore[arg-type]
        while not self._ready:
            read = self._raw.read(_CHUNK)
            text = self._decoder.decode(read, final=not read)
            if self._first and text:
                text, self._first = text.removeprefix("\ufeff"), False
            self._ready = text.encode("utf-8", "replace")
            if not read and not self._ready:
                return 0
        size = min(len(target), len(self._ready))
        target[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size
