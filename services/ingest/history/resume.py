"""How far an import has come: a small file beside the input, written after each ack.

A crash loses the batches in flight, nothing else; they are sent again, with the same ids.
"""

import os
from hashlib import blake2b
from pathlib import Path

import msgspec
from msgspec import Struct, field

from services.ingest.history.model import Mapping, Unusable

_ENDS = 1_000_000


class Counts(Struct):
    """What has become of the rows."""

    rows: int = 0
    accepted: int = 0
    duplicates: int = 0
    """Repeated within one batch."""
    skipped: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    """By code."""

    @property
    def refusals(self) -> int:
        return sum(self.refused.values())


class State(Struct):
    """A place in an import that is done: ingest has acknowledged all before it."""

    job: str
    """What is imported, and how: another file or mapping is another import."""
    offset: int = 0
    line: int = 0
    rejects: int = 0
    """Bytes of the file of refusals that belong to what is done."""
    counts: Counts = field(default_factory=Counts)


def job_of(path: Path, mapping: Mapping, source: str, url: str) -> str:
    """A fingerprint: size, first and last million bytes of the file, and what is done to it."""
    digest = blake2b(digest_size=16)
    size = path.stat().st_size
    with path.open("rb") as file:
        digest.update(file.read(_ENDS))
        file.seek(max(0, size - _ENDS))
        digest.update(file.read(_ENDS))
    digest.update(msgspec.json.encode([size, mapping, source, url], order="deterministic"))
    return digest.hexdigest()


class Ledger:
    """Keeps a ``State`` in a file, replaced as a whole."""

    def __init__(self, path: Path, job: str) -> None:
        self._path = path
        self._job = job

    def find(self) -> State | None:
        """Where the same import stopped, if it did. One of another file is started anew."""
        try:
            state = msgspec.json.decode(self._path.read_bytes(), type=State)
        except FileNotFoundError:
            return None
        except (msgspec.MsgspecError, UnicodeDecodeError, OSError) as error:
            raise Unusable(
                f"{self._path} cannot be read ({error}): start with --restart"
            ) from error
        return state if state.job == self._job else None

    def start(self) -> State:
        """The state of an import from the beginning, stored, so that storing is known to work."""
        state = State(self._job)
        self.note(state)
        return state

    def note(self, state: State) -> None:
        """Store ``state``: after a crash either the old one is there or this."""
        fresh = Path(f"{self._path}.new")
        try:
            fresh.write_bytes(msgspec.json.encode(state))
            os.replace(fresh, self._path)
        except OSError as error:
            raise Unusable(
                f"{self._path} cannot be written ({error.strerror}): name another with --state"
            ) from error

    def finish(self) -> None:
        """The import is complete: nothing is left to resume."""
        self._path.unlink(missing_ok=True)


class Rejects:
    """The file of refusals, NDJSON; what belongs to batches that were lost is cut off."""

    def __init__(self, path: Path | None, kept: int) -> None:
        self.path = path
        self.size = 0
        self._file = None
        if path is None:
            return
        try:
            self._file = path.open("r+b" if kept and path.exists() else "wb")
            self._file.truncate(kept)
            self.size = self._file.seek(0, os.SEEK_END)
        except OSError as error:
            raise Unusable(f"{path} cannot be written ({error.strerror})") from error

    def write(self, refusals: list[Struct]) -> None:
        """Append them; they are in the file when this returns."""
        if self._file is not None and refusals:
            text = b"".join(msgspec.json.encode(one) + b"\n" for one in refusals)
            try:
                self.size += self._file.write(text)
                self._file.flush()
            except OSError as error:
                raise Unusable(f"{self.path} cannot be written ({error.strerror})") from error

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
