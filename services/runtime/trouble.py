"""What can go wrong in a turn, sorted by what helps."""

from aiokafka.errors import KafkaError

from services.runtime.checkpoints import Fenced, TooLarge
from services.runtime.mongo import CommitUnknown, PyMongoError, conflict, too_large


class Poisoned(Exception):
    """Most of a large batch does not fit: more likely our fault than the senders'."""


class Unpublished(Exception):
    """The last turn's outbox could not be published in time."""


class Ahead(Exception):
    """A checkpoint is ahead of its topic: the topic was deleted and made again.

    To go on would skip as many new records as there were old ones. Where that topic is meant
    to be new, remove the stage's checkpoints (or restore the topic).
    """


def cause_of(error: Exception) -> str:
    """The kind of trouble, as the metric's label has it.

    * ``fenced``: another worker owns the partition; ``unknown``: the commit's answer was
      lost. Both: look at the checkpoints again.
    * ``conflict`` and ``too_large``: try again with fewer records.
    * ``poisoned`` and ``unavailable``: wait, and try again; ``ahead``: wait for a person.
    * ``failed``: a bug; find the record that triggers it.
    """
    if isinstance(error, Fenced):
        return "fenced"
    if isinstance(error, CommitUnknown):
        return "unknown"
    if isinstance(error, TooLarge) or too_large(error):
        return "too_large"
    if isinstance(error, Poisoned):
        return "poisoned"
    if isinstance(error, Ahead):
        return "ahead"
    if conflict(error):
        return "conflict"
    if isinstance(error, PyMongoError | KafkaError | OSError | Unpublished):
        return "unavailable"
    return "failed"
