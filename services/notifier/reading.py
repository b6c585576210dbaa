"""What of a turn's records concerns the notifier, decoded."""

from collections.abc import Iterator

import msgspec

from schemas.messages import ConsentRequested, SegmentChanged
from schemas.topics import CONSENT_REQUESTS, EMAILS, SEGMENT_CHANGES
from schemas.validation import Fault
from services.notifier import responses
from services.notifier.campaigns import Campaigns
from services.notifier.model import Response
from services.runtime.turn import Source, Turn

_decoder = msgspec.json.Decoder(SegmentChanged)
_requests = msgspec.json.Decoder(ConsentRequested)


def changes_of(turn: Turn, campaigns: Campaigns) -> Iterator[tuple[Source, SegmentChanged]]:
    """The entries into and exits from segments that a campaign waits for."""
    for record in turn.records:
        if record.source.topic != SEGMENT_CHANGES.name:
            continue
        try:
            change = _decoder.decode(record.value or b"")
        except msgspec.MsgspecError:
            turn.reject(record, "malformed", "does not fit SegmentChanged")
            continue
        if campaigns.on(change.segment):
            yield record.source, change
        else:
            turn.drop("no_campaign")


def requests_of(turn: Turn) -> Iterator[tuple[Source, ConsentRequested]]:
    """What people have to be asked to confirm."""
    for record in turn.records:
        if record.source.topic != CONSENT_REQUESTS.name:
            continue
        try:
            asked = _requests.decode(record.value or b"")
        except msgspec.MsgspecError:
            turn.reject(record, "malformed", "does not fit ConsentRequested")
            continue
        if asked.channel == "email":
            yield record.source, asked
        else:
            turn.drop("channel_not_spoken")


def responses_of(turn: Turn) -> Iterator[tuple[Source, Response]]:
    """What came back of mails. What does not fit is a dead letter of profile, not of ours."""
    for record in turn.records:
        if record.source.topic != EMAILS.name:
            continue
        response = responses.read(record.value, turn.now)
        if isinstance(response, Fault):
            turn.drop(response.code)
        else:
            yield record.source, response
