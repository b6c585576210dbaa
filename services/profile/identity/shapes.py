"""What the identity routes take and answer with, as their documentation shows it."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.profile.answers import Amount, Identifier
from services.runtime.http import Page


class HeldIdentifier(BaseModel):
    """An identifier of the person, and the message that brought it."""

    type: str
    value: str
    first_seen: datetime
    message_id: str
    source: str
    vouched: bool = Field(description="An authenticated source has named it.")


class HeldDevice(BaseModel):
    """A device that the person was the last to be named on, or an anonymous visitor's own."""

    type: str
    value: str
    since: datetime | None = Field(description="When the person was first named on it, this time.")
    message_id: str | None = Field(description="The message that named them.")
    shared: bool = Field(description="Too many people are named on it: it tells nobody.")


class Merge(BaseModel):
    """Two profiles that were found to be one person, and why."""

    profile_id: str = Field(description="The profile that is no more.")
    into: str
    at: datetime
    message_id: str = Field(description="The message that linked the two, or the decision.")
    reason: str = Field(description="`same_event`, `alias`, `late_evidence` or `decision`.")
    evidence: Identifier = Field(description="The identifier of it that the other one had.")
    explanation: str
    actor: str = Field(description="Who decided it; empty: the rule.")
    note: str = Field(description="What they gave as their reason.")


class Refusal(BaseModel):
    """Identifiers that were seen together and were *not* taken as one person's."""

    identifiers: list[Identifier] = Field(description="Of one message, the most trusted first.")
    kept: int = Field(description="How many of them, from the first, are one person's.")
    reason: Literal["limit", "two_vouched", "decision"]
    explanation: str
    at: datetime
    message_id: str
    source: str


class Split(BaseModel):
    """A decision that keeps this person apart from another."""

    decision_id: str
    at: datetime
    actor: str
    reason: str
    sides: list[list[Identifier]] = Field(description="Addresses are shown as their SHA-256.")


class Identity(BaseModel):
    """Why this is one person, and why no other is it as well."""

    profile_id: str
    former_ids: list[str]
    identifiers: list[HeldIdentifier]
    devices: list[HeldDevice]
    merges: list[Merge]
    refusals: list[Refusal]
    splits: list[Split]


Reason = Annotated[str, Field(min_length=1, max_length=1_000, description="For who asks later.")]
Actor = Annotated[
    str, Field("", max_length=200, description="Who decides; missing: the role of the token.")
]


class NamedIdentifier(BaseModel):
    """An identifier as it is known, in any spelling."""

    model_config = ConfigDict(extra="forbid")
    type: str = Field(min_length=1, max_length=60, examples=["email"])
    value: str = Field(min_length=1, max_length=512, examples=["bob@example.com"])


class UnmergeBody(BaseModel):
    """What to take off a person: a former profile (`merge`), or some of the `identifiers`."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "identifiers": [{"type": "email", "value": "bob@example.com"}],
                "reason": "A couple with one account.",
            }
        },
    )
    merge: str | None = Field(
        None, min_length=1, max_length=200, description="The former profile id, as in `merges`."
    )
    identifiers: list[NamedIdentifier] = Field([], max_length=50)
    reason: Reason
    actor: Actor

    @model_validator(mode="after")
    def _one_of_both(self) -> "UnmergeBody":
        if (self.merge is None) == (not self.identifiers):
            raise ValueError("say either merge or identifiers")
        return self


class MergeBody(BaseModel):
    """Who else is this person."""

    model_config = ConfigDict(
        extra="forbid",
        populate_by_name=True,
        json_schema_extra={"example": {"with": "p_b2", "reason": "She told us on the phone."}},
    )
    other: str = Field(alias="with", min_length=1, max_length=200, description="A profile id.")
    reason: Reason
    actor: Actor


class Outlook(BaseModel):
    """One person as they would be, or are, after a decision."""

    profile_id: str
    former_ids: list[str]
    identifiers: list[Identifier]
    interactions: int
    traits: dict[str, Any]
    order_count: int
    revenue: list[Amount]
    first_seen: datetime | None
    last_seen: datetime | None


class SegmentOutlook(BaseModel):
    """A segment whose members would change."""

    segment: str
    name: str
    before: list[str] = Field(description="Profile ids that are in it.")
    after: list[str] = Field(description="Profile ids that would be in it.")
    until: datetime | None = Field(
        description="From then on time alone may make it otherwise; null: it never does."
    )


class Preview(BaseModel):
    """What a decision would do; nothing was changed."""

    kind: Literal["split", "join"]
    before: list[Outlook]
    after: list[Outlook]
    moved: int = Field(description="Interactions that would be another profile's.")
    summary: str = Field(
        examples=["1 person becomes 2; 12 of 412 interactions move; 2 segments change."]
    )
    segments: list[SegmentOutlook] | None = Field(
        None, description="As of now; null where that is not known."
    )
    segments_note: str = Field("", description="What is not known of segments, and why.")


class Decided(BaseModel):
    """A decision, and whether it is applied."""

    decision_id: str
    kind: Literal["split", "join"]
    state: Literal["pending", "applied"]
    at: datetime
    actor: str
    reason: str
    profiles: list[str] = Field(description="The people whom it names, as they now are.")


class Candidate(BaseModel):
    """One of two who may be one person."""

    profile_id: str
    identifiers: list[Identifier]
    traits: dict[str, Any] = Field(description="Those that are compared, as they were sent.")
    interactions: int
    orders: int
    first_seen: datetime | None
    last_seen: datetime | None


class Compared(BaseModel):
    """How one thing about the two compares, and what that weighs."""

    field: str = Field(examples=["email"])
    level: str = Field(description="`same`, `close`, `different`...", examples=["same"])
    bits: float = Field(description="log2 of how many times likelier it is of one person.")
    values: list[str] = Field(description="Of both, folded to plain lower case; or none.")


class Suggestion(BaseModel):
    """Two people, each with a user id, who may be one."""

    suggestion_id: str
    people: list[Candidate]
    evidence: list[Refusal] = Field(
        description="The first message of each kind that named them together; none where "
        "somebody put them in the queue."
    )
    found_at: datetime | None = Field(description="When somebody did.")
    score: float = Field(description="The sum of `compared`, in bits.")
    likely: bool = Field(description="Of such scores, at least 99 % are one person.")
    compared: list[Compared] = Field(description="The heaviest first.")


class LeftOut(BaseModel):
    """What is not in the queue though it may belong there."""

    crowded: int = Field(
        description="People who share something with so many that the last search did not "
        "compare them with all of those."
    )
    searched_at: datetime | None = Field(description="When that search was; null: there was none.")
    overnamed: int = Field(
        description="People whom messages named with more others than are kept: a pair of two of "
        "them may be missing."
    )


class Suggestions(Page[Suggestion]):
    """A page of the queue, and what is left out of all of it."""

    left_out: LeftOut


ProfileId = Annotated[str, Field(min_length=1, max_length=200)]


class PairsBody(BaseModel):
    """Profile ids, two and two."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"pairs": [["p_a1", "p_b2"]]}}
    )
    pairs: list[tuple[ProfileId, ProfileId]] = Field(max_length=500)
    crowded: int | None = Field(
        None, ge=0, le=2**53, description="Of the search that found them: see `left_out`."
    )


class Queued(BaseModel):
    """What became of the pairs."""

    queued: int = Field(description="How many of them are in the queue now.")


class VerdictBody(BaseModel):
    """`accept` makes the two one person, `reject` keeps them apart for good."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"verdict": "reject", "reason": "Mother and daughter."}},
    )
    verdict: Literal["accept", "reject"]
    reason: Reason
    actor: Actor
