"""Where consent is asked for and written down: between the routes, the ledger and Kafka."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import uuid4

import msgspec
from aiokafka.errors import KafkaError

from schemas.catalogue import key_of as record_key
from schemas.messages import Event, Interaction
from schemas.payloads import EVENT_ACCEPTED
from services.profile.build.kept import Kept
from services.profile.build.model import State
from services.profile.build.rules.consent import OPEN, Permission, Policy, permission
from services.profile.consent import ledger, support
from services.profile.consent.answers import StatementBody
from services.profile.consent.model import Statement
from services.profile.consent.store import Asked, ConsentStore, Spoken
from services.profile.resolve.model import Person
from services.profile.traits.past import MOST_FOLDED
from services.runtime.http import Problem
from services.runtime.turn import Message

_PATIENCE_SECONDS = 8.0
_TOPIC = "events.people"
Position = tuple[datetime, str]


class People(Protocol):
    """Who somebody is."""

    async def profile(self, profile_id: str) -> tuple[str, Kept]:
        """(surviving id, what is kept); 404 if nobody is known by that id."""

    async def person(self, profile_id: str) -> Person:
        """The person as resolve knows them; 404 if there is none."""


class Sender(Protocol):
    """``services.runtime.publish.Publisher``."""

    async def send(self, message: Message) -> None:
        """Publish; returns when it is acknowledged."""


class Desk:
    """Answers for the consent routes."""

    def __init__(
        self,
        store: ConsentStore,
        people: People,
        sender: Sender,
        policy: Policy = OPEN,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._people = people
        self._sender = sender
        self._policy = policy
        self._clock = clock

    async def ledger(
        self,
        profile_id: str,
        when: tuple[datetime | None, datetime | None],
        limit: int,
        after: Position | None,
    ) -> tuple[list[Statement], Position | None]:
        """What ``limit`` messages said, the newest first, and where the next page begins.

        ``when``: only what was valid at the first of these, and recorded by the second.
        """
        person = await self._people.person(profile_id)
        statements: list[Statement] = []
        shown, last = 0, None
        async for spoken, said in self._recorded(person.profile_ids, when, after):
            found = ledger.statements_of(said)
            if not found:
                continue
            if shown == limit:
                return statements, last
            statements += found
            shown, last = shown + 1, (spoken.at, spoken.interaction_id)
        return statements, None

    async def permission(
        self,
        profile_id: str,
        about: tuple[str, str],
        when: tuple[datetime | None, datetime | None],
    ) -> tuple[str, Permission, Statement | None]:
        """(surviving id, the answer, the statement that decides); ``about``: channel, purpose."""
        survivor, kept = await self._people.profile(profile_id)
        state = kept.state
        if when != (None, None):
            person = await self._people.person(profile_id)
            found = self._recorded(person.profile_ids, when, None)
            state = ledger.state_of([said async for _, said in found])
            if ledger.is_bound(state, *about):
                state = await self._folded(person.profile_ids, when)
        answer = permission(state, *about, self._policy)
        return survivor, answer, await self._statement(answer.message_id, about)

    async def record(
        self, profile_id: str, body: StatementBody, key: str | None
    ) -> tuple[str, Event]:
        """Tell Kafka once for each ``key``; (surviving id, the event). 503 if it is away."""
        now = self._clock()
        survivor, kept = await self._people.profile(profile_id)
        event = await self._event(survivor, kept, body, (key or uuid4().hex, now))
        if key is not None:
            asked = Asked(_digest(profile_id, body), record_key(event) or "", _encode(event))
            first = await self._store.first(support.digest(key), asked, now)
            if first.request != asked.request:
                detail = "This Idempotency-Key was used for another statement: send a new one."
                raise Problem(422, "Unprocessable Content", detail)
            event = msgspec.json.decode(first.event, type=Event)
        await self._publish(event)
        return survivor, event

    async def _event(
        self, survivor: str, kept: Kept, body: StatementBody, once: tuple[str, datetime]
    ) -> Event:
        key, now = once
        at = now if body.at is None else body.at.astimezone(UTC)
        if at > now:
            raise Problem(422, "Unprocessable Content", "`at` lies in the future.")
        person = await self._people.person(survivor)
        held = [one.identifier for one in person.identifiers]
        write = kept.state.traits.get("email")
        fields = support.named(held, _text(write.value if write else None))
        if fields is None:
            detail = "No identifier of this person can be written down in an event."
            raise Problem(409, "Conflict", detail)
        said: dict[str, Any] = {
            "channel": body.channel,
            "purpose": body.purpose,
            "state": body.state,
            "actor": {"kind": "agent", "name": body.actor.strip()},
        }
        if body.text_version:
            said["text_version"] = body.text_version
        if body.proof:
            said["proof"] = body.proof
        id_ = support.statement_id(key, _digest(survivor, body))
        return support.event_of(said, fields, (at, now), id_)

    async def _publish(self, event: Event) -> None:
        message = Message(
            topic=_TOPIC,
            key=record_key(event) or event.message_id,
            value=_encode(event),
            type=EVENT_ACCEPTED,
            id=event.message_id,
            time=event.timestamp,
        )
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await self._sender.send(message)
        except (KafkaError, OSError, TimeoutError) as error:
            detail = "Kafka does not answer. Send it again, with the same Idempotency-Key."
            headers = {"Retry-After": "5"}
            raise Problem(503, "Service Unavailable", detail, headers=headers) from error

    async def _recorded(
        self,
        profile_ids: list[str],
        when: tuple[datetime | None, datetime | None],
        after: Position | None,
    ) -> AsyncIterator[tuple[Spoken, Interaction]]:
        at, as_of = when
        async for spoken in self._store.spoken(profile_ids, at, after):
            for said in ledger.decoded([spoken.body]):
                if ledger.valid_at(said, at) and ledger.recorded_by(said, as_of):
                    yield spoken, said

    async def _folded(
        self, profile_ids: list[str], when: tuple[datetime | None, datetime | None]
    ) -> State:
        """The person then, with the address that a confirmation is bound to."""
        state, at = State(), when[0]
        async for spoken in self._store.spoken(profile_ids, at, everything=True):
            for said in ledger.decoded([spoken.body]):
                if ledger.valid_at(said, at) and ledger.recorded_by(said, when[1]):
                    ledger.take(state, said)
            if state.interactions > MOST_FOLDED:
                detail = "The person has too many interactions to tell what held then."
                raise Problem(422, "Unprocessable Content", detail)
        return state

    async def _statement(self, message_id: str, about: tuple[str, str]) -> Statement | None:
        body = await self._store.interaction(message_id) if message_id else None
        for said in ledger.decoded([body] if body is not None else []):
            for statement in ledger.statements_of(said):
                if (statement.channel, statement.purpose) == about:
                    return statement
        return None


def _text(value: bytes | None) -> str:
    found = msgspec.json.decode(value) if value else None
    return found.strip().lower() if isinstance(found, str) else ""


def _digest(profile_id: str, body: StatementBody) -> str:
    return support.digest([profile_id, body.model_dump(mode="json")])


def _encode(event: Event) -> bytes:
    return msgspec.json.encode(event)
