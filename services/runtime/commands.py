"""What a turn asks and writes, as commands: the server's own words for it.

The driver's calls build a cursor for each question and look at each document that is written;
a turn needs neither, and half of what it spends in the driver is saved.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from services.runtime.mongo import BulkWriteError, Collection, Document, Session

_AT_ONCE = 10_000
"""More than a turn asks for: the answer comes in one round trip, if it fits into 16 MB."""

Change = tuple[Document, Document]
"""(Which document, what becomes of it.)"""


async def find(
    collection: Collection,
    wanted: Document,
    session: Session | None,
    fields: Document | None = None,
) -> list[Document]:
    """All documents that match ``wanted``; of each ``fields``, as of a projection."""
    command = {"find": collection.name, "filter": wanted, "batchSize": _AT_ONCE}
    if fields is not None:
        command["projection"] = fields
    if session is None and collection.read_concern.document:
        command["readConcern"] = collection.read_concern.document
    cursor = (await _answer(collection, command, session))["cursor"]
    found: list[Document] = cursor["firstBatch"]
    while cursor["id"]:
        command = {"getMore": cursor["id"], "collection": collection.name}
        cursor = (await _answer(collection, command, session))["cursor"]
        found += cursor["nextBatch"]
    return found


async def insert(
    collection: Collection, documents: Sequence[Document], session: Session | None
) -> None:
    """Insert all, each with its ``_id``; raises ``BulkWriteError`` when one is there already."""
    command = {"insert": collection.name, "documents": documents, "ordered": False}
    _check(await _answer(collection, command, session))


async def update(
    collection: Collection,
    changes: Iterable[Change],
    session: Session | None,
    *,
    upsert: bool = False,
) -> int:
    """Change one document each; how many were found, or made where ``upsert`` says so.

    As what is inserted, they must fit into 16 MB; raises ``DocumentTooLarge``.
    """
    updates = [{"q": which, "u": change, "upsert": upsert} for which, change in changes]
    command = {"update": collection.name, "updates": updates, "ordered": False}
    return int(_check(await _answer(collection, command, session))["n"])


async def _answer(
    collection: Collection, command: Document, session: Session | None
) -> dict[str, Any]:
    answer: dict[str, Any] = await collection.database.command(
        command, session=session, codec_options=collection.codec_options
    )
    return answer


def _check(answer: dict[str, Any]) -> dict[str, Any]:
    if answer.get("writeErrors"):
        raise BulkWriteError(answer)
    return answer
