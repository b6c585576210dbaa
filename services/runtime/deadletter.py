"""Dead letters: what a stage had to reject, with its raw bytes and the reason in headers."""

from datetime import datetime

from schemas.topics import BY_NAME, dead_letters
from services.runtime.turn import Output, Rejected

_DETAIL_CHARACTERS = 500


def output_of(rejected: Rejected, stage: str, now: datetime) -> Output:
    """The record for ``<topic>.dead``: key, value and headers as they were, plus ``dl_*``.

    ``dl_reason`` is a code, ``dl_detail`` is for people; ``dl_topic``, ``dl_partition`` and
    ``dl_offset`` say where it was read, ``dl_stage`` who rejected it and ``dl_at`` when.
    """
    record = rejected.record
    kept = [item for item in record.headers.items() if item[0] not in ("origin", "seq")]
    facts = {
        "dl_reason": rejected.reason,
        "dl_detail": rejected.detail[:_DETAIL_CHARACTERS],
        "dl_topic": record.source.topic,
        "dl_partition": str(record.source.partition),
        "dl_offset": str(record.offset),
        "dl_stage": stage,
        "dl_at": now.isoformat().replace("+00:00", "Z"),
    }
    headers = kept + [(name, value.encode()) for name, value in facts.items()]
    topic = dead_letters(BY_NAME[record.source.topic])
    return Output(topic.name, 0, record.key, record.value, headers)
