"""The notifier's MongoDB collections.

``messages``     the send ledger: ``{_id: message id, profile_id, campaign, segment, state,
                 source, decided_at, due_at, attempt, owner, begun_at,
                 unsubscribed_at, unsubscribe_told, confirmed_at, confirmed_ip,
                 confirm_told, confirms: digest of the address that is asked, body}``.
                 ``body`` is the entry as msgpack; the fields that change outside of turns (by
                 ``begin``) are kept beside it and win over it.
``receipts``     ``{_id: "<message id>/<attempt>", source, body}``: what became of attempts
                 that no turn may have stored yet, by their senders.
``suppressions`` ``{_id: key, reason, at, message_id}``
``asked``        ``{_id: digest of an address, at, n}``: two turns that would ask at one address,
                 of two people, meet here
``campaigns``    ``{_id: key, version, updated_at, body, published}``
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from services.notifier.asking import Asked
from services.notifier.confirmation import KEY
from services.notifier.model import Began, Entry, Outcome, Start, Suppression
from services.runtime.commands import find
from services.runtime.mongo import (
    BulkWriteError,
    Database,
    UpdateOne,
    create_collection,
    only_duplicates,
)

_encoder = msgspec.msgpack.Encoder()
_entry_decoder = msgspec.msgpack.Decoder(Entry)
_outcome_decoder = msgspec.msgpack.Decoder(Outcome)


class Ledger:
    """The send ledger: what turns store, and what the sender marks before DATA."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._messages = database["messages"]
        self._receipts = database["receipts"]
        self._suppressions = database["suppressions"]
        self._asked = database["asked"]

    async def prepare(self) -> None:
        """Create collections and indexes; safe to repeat."""
        for name in ("messages", "receipts", "suppressions", "asked", "campaigns"):
            await create_collection(self._database, name)
        decided, attempting = {"state": "decided"}, {"state": "attempting"}
        trouble = {"state": {"$in": ["uncertain", "failed"]}}
        newest = [("decided_at", -1), ("_id", -1)]
        await self._messages.create_index([("profile_id", 1), *newest])
        await self._messages.create_index([("campaign", 1), *newest])
        await self._messages.create_index(newest)
        await self._messages.create_index([("state", 1), *newest], partialFilterExpression=trouble)
        await self._messages.create_index(
            [("source", 1), ("due_at", 1)], partialFilterExpression=decided
        )
        await self._messages.create_index(
            [("unsubscribe_told", 1)],
            partialFilterExpression={"unsubscribe_told": False},
        )
        await self._messages.create_index(
            [("confirm_told", 1)], partialFilterExpression={"confirm_told": False}
        )
        await self._messages.create_index(
            [("source", 1)], name="attempting", partialFilterExpression=attempting
        )
        await self._messages.create_index(
            [("confirms", 1), ("decided_at", -1)],
            name="asked",
            partialFilterExpression={"confirms": {"$exists": True}},
        )
        await self._receipts.create_index("source")
        await self._asked.create_index("at", expireAfterSeconds=2 * 86_400)

    # -- within a turn -------------------------------------------------------------------

    async def load(self, session: Any, message_ids: Iterable[str]) -> dict[str, Entry]:
        """The entries that exist, by id."""
        found = await find(self._messages, {"_id": {"$in": sorted(message_ids)}}, session)
        return {document["_id"]: entry_of(document) for document in found}

    async def pending(self, session: Any, profile_ids: Iterable[str]) -> list[Entry]:
        """Entries of these people that are decided and not begun."""
        query = {"profile_id": {"$in": sorted(profile_ids)}, "state": "decided"}
        return [entry_of(document) for document in await find(self._messages, query, session)]

    async def asked(self, session: Any, about: Asked) -> list[Entry]:
        """By what people were asked to confirm a consent: these ever, at these addresses lately."""
        theirs = {"profile_id": {"$in": sorted(about.people)}, "campaign": KEY}
        there = {
            "confirms": {"$in": sorted(about.addresses)},
            "decided_at": {"$gt": about.since},
        }
        found = [
            *await find(self._messages, theirs, session),
            *await find(self._messages, there, session),
        ]
        return list({document["_id"]: entry_of(document) for document in found}.values())

    async def unfinished(
        self, session: Any, sources: Sequence[str]
    ) -> list[tuple[Entry, Outcome | None]]:
        """Attempts of these sources without a stored result, each with the one noted.

        The notes go with this transaction: what they say is stored by it, or out of date.
        """
        owned = {"$in": list(sources)}
        cursor = self._receipts.find({"source": owned}, session=session)
        noted = {document["_id"]: document["body"] async for document in cursor}
        if noted:
            await self._receipts.delete_many({"_id": {"$in": list(noted)}}, session=session)
        found = list[tuple[Entry, Outcome | None]]()
        ids = [receipt.partition("/")[0] for receipt in noted]
        attempting = {"source": owned, "state": "attempting"}
        query = {"$or": [attempting, {"_id": {"$in": ids}}]} if ids else attempting
        async for document in self._messages.find(query, session=session):
            entry = entry_of(document)
            body = noted.get(_receipt_id(entry.message_id, entry.attempt))
            if body is not None or entry.state == "attempting":
                found.append((entry, None if body is None else _outcome_decoder.decode(body)))
        return found

    async def save(
        self,
        session: Any,
        new: Sequence[Entry],
        changed: Sequence[Entry],
        suppressions: Sequence[Suppression],
    ) -> None:
        """Store all of it; a concurrent change of any of these aborts the transaction."""
        if new:
            await self._messages.insert_many(
                [{"_id": entry.message_id, **fields_of(entry)} for entry in new],
                ordered=False,
                session=session,
            )
            addresses = {entry.confirms.address: entry for entry in new if entry.confirms}
            for address, entry in sorted(addresses.items(), key=lambda each: each[0]):
                at = {"$set": {"at": entry.decided_at}, "$inc": {"n": 1}}
                await self._asked.update_one({"_id": address}, at, upsert=True, session=session)
        if changed:
            await self._messages.bulk_write(
                [
                    UpdateOne({"_id": entry.message_id}, {"$set": fields_of(entry)})
                    for entry in changed
                ],
                ordered=False,
                session=session,
            )
        if suppressions:
            await self._suppressions.bulk_write(
                [suppress(suppression) for suppression in suppressions],
                ordered=False,
                session=session,
            )

    # -- outside of turns, for the sender ------------------------------------------------

    async def due(self, sources: Sequence[str], now: datetime, limit: int) -> list[Entry]:
        """Decided and due entries of these sources, the longest due first."""
        query = {
            "source": {"$in": list(sources)},
            "state": "decided",
            "due_at": {"$lte": now},
        }
        cursor = self._messages.find(query).sort("due_at", 1).limit(limit)
        return [entry_of(document) async for document in cursor]

    async def begin(self, starts: Sequence[Start], owner: str) -> dict[str, Began]:
        """Mark what may go as attempting, by message id; safe to repeat after an error.

        Conditional on the entry still being decided under the attempt that the sender
        knows: an exit, a merge or another owner in between wins, and nothing is sent.
        """
        answers = await self._refused(starts)
        by_attempt = defaultdict[int, list[str]](list)
        for start in starts:
            if start.entry.message_id not in answers:
                by_attempt[start.entry.attempt].append(start.entry.message_id)
        for attempt, ids in by_attempt.items():
            query = {"_id": {"$in": ids}, "state": "decided", "attempt": attempt}
            mark = {
                "state": "attempting",
                "attempt": attempt + 1,
                "owner": owner,
                "begun_at": datetime.now(UTC),
            }
            result = await self._messages.update_many(query, {"$set": mark})
            begun = set(ids)
            if result.modified_count != len(ids):
                begun = await self._begun(ids, attempt + 1, owner)
            for id_ in ids:
                answers[id_] = "begun" if id_ in begun else "gone"
        return answers

    async def note(self, receipts: Sequence[tuple[str, Outcome]]) -> None:
        """Keep these, for whoever owns their source next; safe to repeat."""
        documents = [
            {
                "_id": _receipt_id(outcome.message_id, outcome.attempt),
                "source": source,
                "body": _encoder.encode(outcome),
            }
            for source, outcome in receipts
        ]
        try:
            await self._receipts.insert_many(documents, ordered=False)
        except BulkWriteError as error:
            if not only_duplicates(error):
                raise

    async def forget(self, outcomes: Sequence[Outcome]) -> None:
        """A turn has stored these."""
        ids = [_receipt_id(outcome.message_id, outcome.attempt) for outcome in outcomes]
        await self._receipts.delete_many({"_id": {"$in": ids}})

    async def _refused(self, starts: Sequence[Start]) -> dict[str, Began]:
        """What must not begin: suppressed, or the survivor of a merge has the same message."""
        answers = dict[str, Began]()
        twins = {start.twin: start.entry.message_id for start in starts if start.twin}
        if twins:
            query = {"_id": {"$in": list(twins)}, "state": {"$ne": "skipped"}}
            async for document in self._messages.find(query, {"_id": 1}):
                answers[twins[document["_id"]]] = "merged"
        keys = {key for start in starts for key in start.keys}
        cursor = self._suppressions.find({"_id": {"$in": sorted(keys)}})
        found = {document["_id"]: document async for document in cursor}
        for start in starts if found else ():
            for document in (found[key] for key in start.keys if key in found):
                reason = document["reason"]
                if reason != "unsubscribed":
                    answers[start.entry.message_id] = reason
                elif document["at"] >= start.consent_at:
                    answers.setdefault(start.entry.message_id, "suppressed")
        return answers

    async def _begun(self, ids: Sequence[str], attempt: int, owner: str) -> set[str]:
        query = {"_id": {"$in": list(ids)}, "state": "attempting", "attempt": attempt}
        cursor = self._messages.find({**query, "owner": owner}, {"_id": 1})
        return {document["_id"] async for document in cursor}


def _receipt_id(message_id: str, attempt: int) -> str:
    return f"{message_id}/{attempt}"


def fields_of(entry: Entry) -> dict[str, Any]:
    """An entry as the fields of its document, the id apart."""
    confirms = {"confirms": entry.confirms.address} if entry.confirms else {}
    return confirms | {
        "profile_id": entry.profile_id,
        "campaign": entry.campaign,
        "segment": entry.segment,
        "state": entry.state,
        "source": entry.source,
        "decided_at": entry.decided_at,
        "due_at": entry.due_at,
        "attempt": entry.attempt,
        "body": _encoder.encode(entry),
    }


def entry_of(document: dict[str, Any]) -> Entry:
    """The entry in a document; what ``begin`` may have changed comes from its own fields."""
    entry = _entry_decoder.decode(document["body"])
    entry.state = document["state"]
    entry.attempt = document["attempt"]
    entry.owner = document.get("owner", "")
    entry.begun_at = document.get("begun_at")
    return entry


def suppress(suppression: Suppression) -> UpdateOne:
    """Suppress from now on; a suppression that is there is renewed, never weakened.

    An unsubscribe is the weakest: a later consent voids it.
    """
    fields = {"reason": suppression.reason, "message_id": suppression.message_id}
    weakest = suppression.reason == "unsubscribed"
    return UpdateOne(
        {"_id": suppression.key},
        {"$max": {"at": suppression.at}, "$setOnInsert" if weakest else "$set": fields},
        upsert=True,
    )
