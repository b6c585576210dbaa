"""The topics: key, partitions, cleanup, writers and readers of each, as data.

Partition counts are fixed for the life of a topic: everything from
``profile.interactions`` on is keyed by profile_id and must stay co-partitioned.
"""

from typing import Literal

from msgspec import Struct

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
