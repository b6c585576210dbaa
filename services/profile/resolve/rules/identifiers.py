"""The identifiers that an event carries: normalised, judged, in order of trust."""

from typing import Any

from msgspec import Struct

from schemas.catalogue import ORDER_EVENTS
from schemas.messages import Event, Identifier, Interaction
from services.profile.resolve.model import Link
from services.profile.resolve.rules.kinds import EXTERNAL, NOT_LINKING, OWN_BOOKS, is_device, rank
from services.profile.resolve.rules.spelling import node_of, spelled, usable

_MOST_EXTERNAL = 20
"""External ids of one event that are looked at."""
_LONGEST_TYPE = 60


class Sender(Struct, frozen=True):
    """What is known of an event's source beside its name."""

    untrusted: bool = False
    """An open source: whoever has it in hand may send what they like."""
    region: str | None = None
    """Where phone numbers without a country are from (ISO 3166)."""
    blocked: frozenset[Identifier] = frozenset()
    """Nodes that name nobody in this shop, such as the address that a till makes up."""


TRUSTED = Sender()


class _Found:
    """What an event names, in the order of its fields."""

    __slots__ = ("blocked", "good", "nobodys")

    def __init__(self, nobodys: frozenset[Identifier]) -> None:
        self.good: list[Identifier] = []
        self.blocked: list[Identifier] = []
        self.nobodys = nobodys

    def judge(self, kind: str, text: str, region: str | None = None) -> None:
        """Take it in as what it is."""
        value = spelled(kind, text, region)
        into, value = (self.blocked, text.strip()) if value is None else (self.good, value)
        identifier = Identifier(kind, value)
        if self.nobodys and node_of(identifier) in self.nobodys:
            return  # Nor is it told as ignored: read again, it would be somebody's.
        if identifier not in into:
            into.append(identifier)

    def claim(self, kind: str, text: str) -> None:
        """The same of what may be something else: nothing, unless it can be this kind."""
        if spelled(kind, text) is not None:
            self.judge(kind, text)


def link_of(event: Event, sender: Sender = TRUSTED) -> Link | None:
    """What ``event`` says of identity, or None when it carries no usable identifier."""
    found = _Found(sender.blocked)
    if event.user_id is not None:
        found.judge("user_id", event.user_id)
    for place in _places(event):
        _contacts(place, sender, found)
    if event.anonymous_id is not None:
        found.judge("anonymous_id", event.anonymous_id)
    if event.type == "alias" and event.previous_id is not None:
        # Nobody says which kind of id it was. Two user ids never join, so what joins can
        # only be a device that the person held.
        found.judge("anonymous_id", event.previous_id)
        if found.good[:1] and found.good[0].type == "user_id" and not sender.untrusted:
            # Should it be an account's, too, the limit refuses the two, and people decide.
            found.claim("user_id", event.previous_id)
    if "device" in event.context:
        _device(event.context["device"], found)
    if "externalIds" in event.context:
        _external(event, sender, found)
    good = found.good
    if not good:
        return None
    if len(good) > 1:
        good = _inorder(good, event.type)
    nodes, devices = _parted(good)
    return Link(
        message_id=event.message_id,
        at=event.timestamp,
        source=event.source,
        rule="alias" if event.type == "alias" else "same_event",
        identifiers=good,
        blocked=found.blocked,
        nodes=nodes,
        devices=devices,
        untrusted=sender.untrusted,
    )


def link_again(said: Interaction) -> Link:
    """What a stored interaction said of identity when it came, whatever became of it."""
    let_go = [one for one in said.ignored if spelled(one.type, one.value) == one.value]
    found = _inorder(said.identifiers + let_go, said.type)
    nodes, devices = _parted(found)
    return Link(
        message_id=said.interaction_id,
        at=said.at,
        source=said.source,
        rule="alias" if said.type == "alias" else "same_event",
        identifiers=found,
        blocked=[one for one in said.ignored if one not in let_go],
        nodes=nodes,
        devices=devices,
        untrusted=said.untrusted,
    )


def _parted(found: list[Identifier]) -> tuple[list[Identifier], list[Identifier]]:
    """(the persons' as nodes, the devices)."""
    if len(found) == 1:
        return ([], found) if is_device(found[0].type) else ([node_of(found[0])], [])
    nodes: dict[Identifier, None] = {}
    devices = []
    for one in found:
        if is_device(one.type):
            devices.append(one)
        else:
            nodes[node_of(one)] = None
    return list(nodes), devices


def _inorder(found: list[Identifier], call: str) -> list[Identifier]:
    """By trust. Stable: among equals, the event's own fields come first.

    Of an alias a second user id is what it claims, and the first to be let go.
    """
    found = sorted(found, key=_rank)
    if call != "alias":
        return found
    claimed = [one for one in found if one.type == "user_id"][1:]
    personal = [one for one in found if one not in claimed and not is_device(one.type)]
    return [*personal, *claimed, *(one for one in found if is_device(one.type))]


def _rank(identifier: Identifier) -> int:
    return rank(identifier.type)


def _places(event: Event) -> list[Any]:
    """Where an event may say its person's address and number.

    A group's traits are the group's; of properties, only an order's are the buyer's,
    elsewhere they may be anybody's.
    """
    places: list[Any] = []
    if event.type == "identify":
        places.append(event.traits)
    if "traits" in event.context:
        places.append(event.context["traits"])
    if event.event in ORDER_EVENTS:
        places.append(event.properties)
    return places


def _contacts(place: Any, sender: Sender, found: _Found) -> None:
    if not isinstance(place, dict):
        return
    email, phone = place.get("email"), place.get("phone")
    if isinstance(email, str) and email:
        address = spelled("email", email)
        if address is None:
            found.judge("email", email.strip().lower())
        else:
            found.judge("email", address)
    if isinstance(phone, int) and not isinstance(phone, bool) and phone > 0:
        phone = str(phone)
    # What is no number is no identifier either, and stays a trait.
    if isinstance(phone, str) and phone and spelled("phone", phone, sender.region):
        found.judge("phone", phone, sender.region)


def _device(said: Any, found: _Found) -> None:
    """``context.device.id``; its ``advertisingId`` is the person's to change, and shared."""
    if isinstance(said, dict) and isinstance(said.get("id"), str):
        found.judge("device_id", said["id"])


def _external(event: Event, sender: Sender, found: _Found) -> None:
    """``context.externalIds`` of the collection ``users`` (Segment spec, "Context")."""
    said = event.context["externalIds"]
    for one in said[:_MOST_EXTERNAL] if isinstance(said, list) else ():
        if not isinstance(one, dict) or one.get("collection", "users") != "users":
            continue
        type, id = one.get("type"), one.get("id")
        if not isinstance(type, str) or isinstance(id, bool) or not isinstance(id, str | int):
            continue
        kind = type.strip().lower()
        if not kind or len(kind) > _LONGEST_TYPE or ":" in kind or kind in NOT_LINKING:
            continue
        kind, text = EXTERNAL.get(kind, kind), str(id).strip()
        if kind == "email" and str(one.get("encoding")).lower() in ("sha256", "sha-256"):
            kind = "email_sha256"
        if kind in OWN_BOOKS and usable(text):
            text = f"{event.source}/{text}"
        found.judge(kind, text, sender.region)
