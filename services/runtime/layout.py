"""Which layout of documents a database holds: asked before a worker reads any of them.

``layouts``: ``{_id: worker, version, since}``, written by the first worker that finds nothing
of its kind yet. A worker that would misread what is there does not start, unless it tells older
documents from its own and makes them anew: then the mark says from then on what it writes, so that
no worker of the older layout starts any more.
"""

from datetime import UTC, datetime

from services.runtime.mongo import Database
from services.runtime.settings import Settings


class Unreadable(Exception):
    """What is stored was written in another layout; the text says what to do."""


async def claim(
    database: Database, settings: Settings, worker: str, version: int, *, renews: bool = False
) -> None:
    """Make sure that the documents of ``worker`` are in the layout ``version``, or, where it
    ``renews`` them, in an older one.

    Raises ``Unreadable``. A database without any mark of it is new if the worker has no
    checkpoint in it, and older than the marks if it has.
    """
    group = settings.namespace + worker
    # Before the mark, which is written before any checkpoint: another worker may be starting.
    began = await database["checkpoints"].find_one(
        {"_id": {"$gt": f"{group}/", "$lt": f"{group}0"}}
    )
    if began is None:
        await database["layouts"].update_one(
            {"_id": worker},
            {"$setOnInsert": {"version": version, "since": datetime.now(UTC)}},
            upsert=True,
        )
    mark = await database["layouts"].find_one({"_id": worker})
    found = 0 if mark is None else mark["version"]
    if renews and mark is not None and found < version:
        raised = {"version": version, "since": datetime.now(UTC), "from": found}
        await database["layouts"].update_one(
            {"_id": worker, "version": {"$lt": version}}, {"$set": raised}
        )
        return
    if found != version:
        raise Unreadable(_advice(database.name, worker, found, version))


def _advice(database: str, worker: str, found: int, version: int) -> str:
    if found > version:
        return (
            f"{worker} cannot start: the MongoDB database {database} was written by a newer "
            f"version of Regulars (layout {found}, this one reads {version}). Run that version."
        )
    return (
        f"{worker} cannot start: the MongoDB database {database} was written by an earlier version "
        f"of Regulars (layout {found}, this one reads {version}) and would be misread. Run the "
        "earlier version, or start anew: `regulars reset` on one machine, elsewhere another "
        "REGULARS_NAMESPACE; then import the past. See docs/operations.md, Upgrading."
    )
