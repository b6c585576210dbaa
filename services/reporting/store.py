"""The tables in MongoDB: what the worker writes, and what the API reads.

``rows``
    ``{_id: "<table>/<period>/<key...>/<partition>", table, period, key: {...}, cells: {...}}``:
    the part of one row that came over one partition, so that two workers never write the
    same document. Readers add the parts up.
``people``
    ``{_id: profile_id, version, mark, rows}``: what each profile adds at present.
``messages``
    ``{_id: message_id, told}``: which states each message has reached, and when.
"""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import msgspec
from bson import Decimal128

from services.reporting.handler import Changes
from services.reporting.model import ALL_TIME, Cells, Held, Range, RowId, Table, Told
from services.reporting.rules import tables
from services.reporting.rules.shown import FIRST, LAST
from services.runtime.mongo import (
    Database,
    ReplaceOne,
    Session,
    UpdateOne,
    create_collection,
)

FRESH = "fresh"
"""The ``table`` of the rows that tell when a partition of a topic was last counted."""
MESSAGE_DAYS = 400
"""How long a message is remembered after its last new state."""

_TOLD = msgspec.msgpack.Decoder(Told)
_ENCODER = msgspec.msgpack.Encoder()


class Tables:
    """The worker's side (``handler.Store``)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def prepare(self) -> None:
        """Create the collections and their indexes."""
        for name in ("rows", "people", "messages"):
            await create_collection(self._database, name)
        await self._database["rows"].create_index([("table", 1), ("period", 1)])
        for name in ("rows", "messages"):
            await self._database[name].create_index("forget_at", expireAfterSeconds=0)

    async def held(self, session: Session, profile_ids: Collection[str]) -> dict[str, Held]:
        """The last contributions of these profiles, of those that have one."""
        found = self._database["people"].find(
            {"_id": {"$in": list(profile_ids)}}, session=session, batch_size=10_000
        )
        return {
            document["_id"]: Held(document["version"], document["mark"], document["rows"])
            for document in await found.to_list(None)
        }

    async def told(self, session: Session, message_ids: Collection[str]) -> dict[str, Told]:
        """What is known of these messages, of those that were heard of."""
        found = self._database["messages"].find(
            {"_id": {"$in": list(message_ids)}}, session=session, batch_size=10_000
        )
        return {
            document["_id"]: _TOLD.decode(document["told"])
            for document in await found.to_list(None)
        }

    async def save(self, session: Session, changes: Changes) -> None:
        """Store everything that one turn changed: one bulk write a collection."""
        rows = [_add(row, partition, cells) for (row, partition), cells in changes.rows.items()]
        rows += [_heard(topic, partition, changes.now) for topic, partition in changes.heard]
        people = [
            ReplaceOne(
                {"_id": profile_id},
                {"version": held.version, "mark": held.fingerprint, "rows": held.rows},
                upsert=True,
            )
            for profile_id, held in changes.held.items()
        ]
        forget_at = changes.now + timedelta(days=MESSAGE_DAYS)
        messages = [
            ReplaceOne(
                {"_id": message_id},
                {"told": _ENCODER.encode(told), "forget_at": forget_at},
                upsert=True,
            )
            for message_id, told in changes.told.items()
        ]
        for name, writes in (
            ("rows", rows),
            ("people", people),
            ("messages", messages),
        ):
            if writes:
                await self._database[name].bulk_write(writes, ordered=False, session=session)


class Reports:
    """The API's side: sums of rows, read only."""

    def __init__(self, database: Database) -> None:
        self._rows = database["rows"]

    async def read(
        self, table: Table[Any], asked: Range, *, by_period: bool | None = None
    ) -> list[dict[str, Any]]:
        """The table's rows within ``asked``, in the order they are shown.

        Each is a dict of the period (when ``by_period``, which defaults to the table's own
        way), the keys and every measure (int, or Decimal for amounts). Rows in which
        everything is zero are left out. ``asked.limit`` keeps the latest, or the top ones.
        """
        each = table.by_period if by_period is None else by_period
        cursor = self._rows.aggregate(_pipeline(table, asked, each), allowDiskUse=True)
        rows = [_plain(table, document) for document in await cursor.to_list(None)]
        return rows[::-1] if each else rows

    async def fresh_at(self, topics: Iterable[str]) -> datetime | None:
        """When anything of these topics was last counted; None when nothing ever was."""
        found = self._rows.find({"table": FRESH, "period": {"$in": list(topics)}}, {"at": 1})
        return max((document["at"] for document in await found.to_list(None)), default=None)


def _row_id(row: RowId, partition: int) -> str:
    key = [quote(part, safe="") for part in row.key]
    return "/".join((row.table, row.period, *key, str(partition)))


def _add(row: RowId, partition: int, cells: Cells) -> UpdateOne:
    table = tables.BY_NAME[row.table]
    names = (column.name for column in table.keys)
    fixed: dict[str, Any] = {
        "table": row.table,
        "period": row.period,
        "key": dict(zip(names, row.key, strict=True)),
    }
    if table.keep_hours is not None:
        since = datetime.fromisoformat(row.period)
        fixed["forget_at"] = since + timedelta(hours=table.keep_hours + 1)
    added = {
        f"cells.{name}": Decimal128(value) if isinstance(value, Decimal) else value
        for name, value in cells.items()
    }
    return UpdateOne(
        {"_id": _row_id(row, partition)},
        {"$inc": added, "$setOnInsert": fixed},
        upsert=True,
    )


def _heard(topic: str, partition: int, now: datetime) -> UpdateOne:
    return UpdateOne(
        {"_id": f"{FRESH}/{topic}/{partition}"},
        {"$set": {"table": FRESH, "period": topic}, "$max": {"at": now}},
        upsert=True,
    )


def _pipeline(table: Table[Any], asked: Range, by_period: bool) -> list[dict[str, Any]]:
    keys = [column.name for column in table.keys]
    sums = [column.name for column in table.measures]
    shown_keys = [name for name in keys if name != table.label]
    period = {table.period: "$period"} if by_period else {}
    stages: list[dict[str, Any]] = [
        {"$match": _match(table, asked, by_period)},
        {
            "$group": {
                "_id": {**period, **{name: f"$key.{name}" for name in keys}},
                **{name: {"$sum": f"$cells.{name}"} for name in sums},
            }
        },
        {"$match": {"$or": [{name: {"$ne": 0}} for name in sums]}},
    ]
    if table.label:
        stages += [
            {"$sort": {sums[0]: -1, f"_id.{table.label}": 1}},
            {
                "$group": {
                    "_id": {name: f"$_id.{name}" for name in (*period, *shown_keys)},
                    table.label: {"$first": f"$_id.{table.label}"},
                    **{name: {"$sum": f"${name}"} for name in sums},
                }
            },
        ]
    ranked = dict.fromkeys(table.rank, -1) if not by_period else {}
    # Periods descend, so that the limit keeps the latest; the reader turns them round.
    order = {f"_id.{table.period}": -1} if by_period else ranked
    tie = {f"_id.{name}": -1 if by_period else 1 for name in shown_keys}
    stages.append({"$sort": {**order, **tie} or {"_id": 1}})
    if not (by_period and table.balance):
        stages.append({"$limit": asked.limit})
    return stages


def _match(table: Table[Any], asked: Range, by_period: bool) -> dict[str, Any]:
    match: dict[str, Any] = {"table": table.name}
    whole = asked.start is None and asked.end is None and table.keep_hours is None
    if whole and not by_period:
        match["period"] = ALL_TIME
    else:
        # A balance needs everything before the range, too.
        start = None if by_period and table.balance else asked.start
        match["period"] = {"$gte": start or FIRST, "$lte": asked.end or LAST}
    if asked.currency is not None:
        match["key.currency"] = asked.currency
    return match


def _plain(table: Table[Any], document: dict[str, Any]) -> dict[str, Any]:
    row = {**document.pop("_id"), **document}
    for column in table.measures:
        value = row[column.name]
        row[column.name] = value.to_decimal() if isinstance(value, Decimal128) else value
    return row
