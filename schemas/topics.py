"""The topics: key, partitions, cleanup, writers and readers of each, as data.

Partition counts are fixed for the life of a topic: everything from
``profile.interactions`` on is keyed by profile_id and must stay co-partitioned.
"""

from typing import Literal, get_args

from msgspec import Struct

from schemas.messages import MessageState

DAY_MS = 86_400_000

EVENT_PARTITIONS = 4
PROFILE_PARTITIONS = 8


class Topic(Struct, frozen=True, kw_only=True):
    """One Kafka topic as every environment must have it."""

    name: str
    key: str
    """What the record key holds, in words."""
    partitions: int
    cleanup: Literal["delete", "compact"] = "delete"
    retention_ms: int = 30 * DAY_MS
    writers: tuple[str, ...]
    readers: tuple[str, ...]
    summary: str
    max_message_bytes: int = 2_000_000
    retention_bytes: int | None = None
    """A cap on each partition's size, where the sender is not ours to trust."""
    stamped: bool = False
    """Written by stages only: the broker refuses records whose timestamp is older than
    ``REGULARS_PUBLISH_WITHIN_S``, so that no worker that was stopped overtakes its heir."""

    def config(self) -> dict[str, str]:
        """The topic's Kafka configuration entries."""
        entries = {
            "cleanup.policy": self.cleanup,
            "max.message.bytes": str(self.max_message_bytes),
        }
        if self.cleanup == "delete":
            entries["retention.ms"] = str(self.retention_ms)
        if self.retention_bytes is not None:
            entries["retention.bytes"] = str(self.retention_bytes)
        return entries


def _events(name: str, what: str, *readers: str) -> Topic:
    return Topic(
        name=f"events.{name}",
        key="the sender's stable id: anonymousId, else userId, else hashed email, else the order",
        partitions=EVENT_PARTITIONS,
        writers=("ingest", "storefront"),
        readers=("profile-resolve", *readers),
        summary=f"One accepted event each: {what}.",
        max_message_bytes=12_000_000,
    )


EMAILS = _events("emails", "mail delivered, opened, clicked, bounced, unsubscribed", "notifier")
EVENTS = (
    _events("orders", "orders completed, updated, refunded, cancelled"),
    _events("clicks", "pages, screens, browsing, carts, and every custom event"),
    _events("chats", "live chat conversations and messages"),
    EMAILS,
    _events("people", "identify, alias, group and consent"),
)

INTERACTIONS = Topic(
    name="profile.interactions",
    key="profile_id",
    partitions=PROFILE_PARTITIONS,
    stamped=True,
    writers=("profile-resolve", "profile-build"),
    readers=("profile-build", "reporting"),
    summary="One event, once, resolved to a person; or an identity change.",
)
DECISIONS = Topic(
    name="identity.decisions",
    key="profile_id",
    partitions=1,
    writers=("profile",),
    readers=("profile-resolve",),
    summary="What people decide of identity: that some are one person, or are not.",
)
PROFILE_CHANGES = Topic(
    name="profile.changes",
    key="profile_id",
    partitions=PROFILE_PARTITIONS,
    stamped=True,
    cleanup="compact",
    writers=("profile-build",),
    readers=("segmentation", "reporting", "profile-feed", "other teams"),
    summary="The whole profile after a change; a redirect after a merge; a tombstone on erasure.",
    max_message_bytes=12_000_000,
)
SEGMENT_CHANGES = Topic(
    name="segment.changes",
    key="profile_id",
    partitions=PROFILE_PARTITIONS,
    stamped=True,
    writers=("segmentation",),
    readers=("notifier", "reporting", "profile-feed", "other teams"),
    summary="A person entered or left a segment, when, and why.",
)
MESSAGE_CHANGES = Topic(
    name="message.changes",
    key="profile_id",
    partitions=PROFILE_PARTITIONS,
    stamped=True,
    writers=("notifier",),
    readers=("profile-resolve", "reporting", "other teams"),
    summary="One step of a message's life, from decided to converted.",
)
CONSENT_REQUESTS = Topic(
    name="consent.requests",
    key="profile_id",
    partitions=PROFILE_PARTITIONS,
    stamped=True,
    writers=("profile-build", "notifier"),
    readers=("notifier",),
    summary="Somebody granted what they must confirm before it counts (double opt-in).",
)
DEFINITIONS = Topic(
    name="control.definitions",
    key="kind/name",
    partitions=1,
    cleanup="compact",
    writers=("segmentation", "notifier", "profile", "ingest"),
    readers=("every worker", "ingest"),
    summary="A segment, computed trait, campaign, template or source definition changed.",
)
PRIVACY_REQUESTS = Topic(
    name="privacy.requests",
    key="subject_request_id",
    partitions=1,
    retention_ms=400 * DAY_MS,
    writers=("ingest",),
    readers=("other teams",),
    summary="Requests for access and erasure, as they were received.",
)

REJECTED = Topic(
    name="events.rejected",
    key="source",
    partitions=1,
    writers=("ingest",),
    readers=("dead-letters",),
    summary="Events that ingest refused, raw, each with its reason; capped for each source.",
    retention_bytes=1_000_000_000,
)
UNSTORED = Topic(
    name="dead-letters.dead",
    key="the rejected record's key",
    partitions=1,
    writers=("dead-letters",),
    readers=("regulars dead-letters",),
    summary="Dead letters that could not even be stored as such.",
    max_message_bytes=12_000_000,
    retention_bytes=1_000_000_000,
)

REPLAY_OF = "dl_replay"
"""Header of a replayed record: the id of the dead letter that it was."""
MEANT_FOR = "dl_for"
"""Header of a replayed record: the one stage that has not had it; others skip it."""

FLOW = (
    *EVENTS,
    DECISIONS,
    INTERACTIONS,
    PROFILE_CHANGES,
    CONSENT_REQUESTS,
    SEGMENT_CHANGES,
    MESSAGE_CHANGES,
)


def dead_letters(topic: Topic) -> Topic:
    """The topic that takes what a reader of ``topic`` had to reject, raw bytes and all."""
    if topic.name == REJECTED.name or topic.name.endswith(".dead"):
        return UNSTORED
    return Topic(
        name=f"{topic.name}.dead",
        key="the rejected record's key",
        partitions=1,
        retention_ms=30 * DAY_MS,
        writers=topic.readers,
        readers=("dead-letters", "regulars dead-letters"),
        summary=f"Records of {topic.name} that did not fit, each with its reason.",
        max_message_bytes=12_000_000,
        retention_bytes=1_000_000_000,
    )


DEAD = tuple(dead_letters(topic) for topic in FLOW)
ALL = (*FLOW, DEFINITIONS, PRIVACY_REQUESTS, REJECTED, *DEAD, UNSTORED)
BY_NAME = {topic.name: topic for topic in ALL}


class Payload(Struct, frozen=True, kw_only=True):
    """One kind of body on a topic, and the CloudEvents types under which it travels."""

    body: str
    """The name of a Struct of ``schemas.messages``; empty: no value, a tombstone."""
    types: tuple[str, ...]
    summary: str


EVENT_ACCEPTED = "regulars.event.accepted.v1"
PRIVACY_REQUESTED = "regulars.privacy.requested.v1"

MESSAGES: dict[str, tuple[Payload, ...]] = {
    **{
        topic.name: (Payload(body="Event", types=(EVENT_ACCEPTED,), summary="An accepted event."),)
        for topic in EVENTS
    },
    INTERACTIONS.name: (
        Payload(
            body="Interaction",
            types=("regulars.interaction.recorded.v1",),
            summary="One event, once, with the person it belongs to.",
        ),
        Payload(
            body="IdentityMerged",
            types=("regulars.identity.merged.v1",),
            summary="The key's profile is no more: it is now another one.",
        ),
        Payload(
            body="IdentityRearranged",
            types=("regulars.identity.rearranged.v1",),
            summary="The key's profile has other interactions now, or lives again.",
        ),
        Payload(
            body="ProfileAbsorbed",
            types=("regulars.profile.absorbed.v1",),
            summary="The key's profile now includes another one.",
        ),
    ),
    DECISIONS.name: (
        Payload(
            body="IdentityDecision",
            types=("regulars.identity.decided.v1",),
            summary="A split or a join.",
        ),
    ),
    PROFILE_CHANGES.name: (
        Payload(
            body="ProfileChanged",
            types=("regulars.profile.changed.v1",),
            summary="The whole profile after the change, or a redirect after a merge.",
        ),
        Payload(
            body="",
            types=("regulars.profile.erased.v1",),
            summary="The person was erased: forget the key.",
        ),
    ),
    SEGMENT_CHANGES.name: (
        Payload(
            body="SegmentChanged",
            types=("regulars.segment.entered.v1", "regulars.segment.exited.v1"),
            summary="A person entered or left a segment.",
        ),
    ),
    MESSAGE_CHANGES.name: (
        Payload(
            body="MessageChanged",
            types=tuple(f"regulars.message.{state}.v1" for state in get_args(MessageState)),
            summary="One step of a message's life.",
        ),
    ),
    CONSENT_REQUESTS.name: (
        Payload(
            body="ConsentRequested",
            types=("regulars.consent.requested.v1",),
            summary="A grant that the person has to confirm.",
        ),
    ),
    DEFINITIONS.name: (
        Payload(
            body="Definition",
            types=("regulars.definition.changed.v1",),
            summary="The definition as it now is.",
        ),
        Payload(
            body="",
            types=("regulars.definition.changed.v1",),
            summary="The definition was deleted.",
        ),
    ),
    PRIVACY_REQUESTS.name: (
        Payload(
            body="PrivacyRequest",
            types=(PRIVACY_REQUESTED,),
            summary="Somebody asks for their data, or to be forgotten.",
        ),
    ),
}
"""What lies on each topic. A dead-letter topic holds what its source topic held."""
