"""From a request's bytes to its text: unpacks Content-Encoding, bounded: pure."""

import zlib
from collections.abc import Callable

import cramjam

from schemas.validation import Fault
from services.ingest.model import MAX_BODY

_FULL = "failed to write whole buffer"
"""What cramjam says when its output does not fit; it has no error of its own for that."""


def unpack(body: bytes, encoding: str) -> bytes | Fault:
    """``body`` without its compression, at most ``MAX_BODY`` bytes of it ever unpacked.

    Codes: body_too_large, bad_encoding (not one of ``ENCODINGS``), bad_packing.
    """
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return body
    unpacker = _UNPACKERS.get(encoding)
    if unpacker is None:
        return Fault("bad_encoding", f"Content-Encoding must be one of {ENCODINGS}, or identity.")
    text = unpacker(body)
    if text is None:
        return Fault("bad_packing", f"The body is not {encoding}, or cut off.")
    if len(text) > MAX_BODY:
        return Fault("body_too_large", f"A body has at most {MAX_BODY:,} bytes, unpacked.")
    return text


def _gzip(body: bytes) -> bytes | None:
    return _inflate(body, 16 + zlib.MAX_WBITS)


def _deflate(body: bytes) -> bytes | None:
    """The zlib format (RFC 9110, 8.4.1.2), or the bare stream that some send instead."""
    text = _inflate(body, zlib.MAX_WBITS)
    return _inflate(body, -zlib.MAX_WBITS) if text is None else text


def _inflate(body: bytes, wbits: int) -> bytes | None:
    stream = zlib.decompressobj(wbits)
    try:
        text = stream.decompress(body, MAX_BODY + 1)
    except zlib.error:
        return None
    return text if stream.eof or len(text) > MAX_BODY else None


def _brotli(body: bytes) -> bytes | None:
    return _fill(cramjam.brotli.decompress_into, body)


def _zstd(body: bytes) -> bytes | None:
    return _fill(cramjam.zstd.decompress_into, body)


def _fill(unpack_into: Callable[[bytes, bytearray], int], body: bytes) -> bytes | None:
    room = bytearray(MAX_BODY + 1)
    try:
        size = unpack_into(body, room)
    except cramjam.DecompressionError as error:
        return bytes(room) if str(error) == _FULL else None
    return bytes(room[:size])


_UNPACKERS: dict[str, Callable[[bytes], bytes | None]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "br": _brotli,
    "zstd": _zstd,
}
ENCODINGS = "gzip, deflate, br, zstd"
"""What ``Accept-Encoding`` of a 415 says (RFC 9110, 12.5.3)."""
