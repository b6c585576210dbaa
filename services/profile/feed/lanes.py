"""What waits for one subscription in one partition, in its order; in memory, pure.

A worker owns its partitions alone, so what it keeps here is what is stored. Of one person
only the first delivery may be sent: the next one follows when that has arrived.
"""

from collections import deque
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime

from services.profile.feed.model import Delivery, LaneState, Patience

Key = tuple[str, str]
"""(subscription, source)."""


class Lane:
    """The waiting deliveries of one lane, and how far it has come."""

    def __init__(self, state: LaneState) -> None:
        self.state = state
        self.bytes = 0
        self._lines: dict[str, deque[Delivery]] = {}
        self._places: dict[str, str] = {}
        """Delivery -> whose line it stands in."""

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, delivery_id: str) -> bool:
        return delivery_id in self._places

    def __iter__(self) -> Iterator[Delivery]:
        for line in self._lines.values():
            yield from line

    def is_full(self, patience: Patience) -> bool:
        """Whether the next record has to wait on Kafka."""
        return len(self) >= patience.waiting or self.bytes >= patience.waiting_bytes

    def has_room(self, patience: Patience) -> bool:
        """Whether it is worth the while to read on."""
        return 2 * len(self) <= patience.waiting and 2 * self.bytes <= patience.waiting_bytes

    def put(self, delivery: Delivery) -> None:
        """Add one behind those of the same person."""
        self._lines.setdefault(delivery.profile_id, deque()).append(delivery)
        self._places[delivery.id] = delivery.profile_id
        self.bytes += len(delivery.body)

    def get(self, delivery_id: str) -> Delivery | None:
        """A delivery that was being tried: the first of its line."""
        profile_id = self._places.get(delivery_id)
        if profile_id is None:
            return None
        first = self._lines[profile_id][0]
        return first if first.id == delivery_id else None

    def replace(self, delivery: Delivery) -> None:
        """The first of its line, after another attempt."""
        self._lines[delivery.profile_id][0] = delivery

    def remove(self, delivery: Delivery) -> None:
        """The first of its line has arrived, or is given up."""
        line = self._lines[delivery.profile_id]
        line.popleft()
        if not line:
            del self._lines[delivery.profile_id]
        del self._places[delivery.id]
        self.bytes -= len(delivery.body)

    def clear(self) -> list[Delivery]:
        """Take everything out."""
        gone = list(self)
        self._lines.clear()
        self._places.clear()
        self.bytes = 0
        return gone

    def ready(self, now: datetime) -> list[Delivery]:
        """What may be sent: of each person the first, if it is due."""
        return [line[0] for line in self._lines.values() if line[0].due <= now]

    def first_offset(self, otherwise: int) -> int:
        """Of what waits, the earliest."""
        return min((delivery.offset for delivery in self), default=otherwise)


class Lanes:
    """Every lane of the owned partitions."""

    def __init__(self) -> None:
        self._lanes: dict[Key, Lane] = {}

    def __iter__(self) -> Iterator[tuple[Key, Lane]]:
        return iter(self._lanes.items())

    def __len__(self) -> int:
        """How many deliveries wait."""
        return sum(map(len, self._lanes.values()))

    def load(self, states: Iterable[LaneState], deliveries: Iterable[Delivery]) -> None:
        """Take in what is stored; deliveries in their order."""
        for state in states:
            self._lanes[state.subscription, state.source] = Lane(state)
        for delivery in deliveries:
            self.lane((delivery.subscription, delivery.source)).put(delivery)

    def get(self, key: Key) -> Lane | None:
        """A lane that has something to keep; one that has not is as far as the stage."""
        return self._lanes.get(key)

    def lane(self, key: Key) -> Lane:
        """A lane, made where there is none."""
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = Lane(LaneState(subscription=key[0], source=key[1]))
        return lane

    def keys(self, sources: Collection[str]) -> set[Key]:
        """The lanes of these partitions."""
        return {key for key in self._lanes if key[1] in sources}

    def orphans(self, subscriptions: Collection[str]) -> set[Key]:
        """The lanes of subscriptions other than these."""
        return {key for key in self._lanes if key[0] not in subscriptions}

    def forget(self, keys: Iterable[Key]) -> None:
        """Keep nothing of these in memory."""
        for key in keys:
            del self._lanes[key]


def stop(lane: Lane, offset: int) -> bool:
    """Have a lane go on later from what it has not delivered; False if it stands there already.

    ``offset`` is how far its partition was handled.
    """
    state = lane.state
    if state.behind and not len(lane):
        return False
    reached = state.position if state.behind else max(state.position, offset)
    state.position, state.behind = lane.first_offset(reached), True
    return True


def move(lane: Lane, moves: int) -> bool:
    """Have a lane go on from its subscription's point in time; False if it has done so."""
    if lane.state.moves == moves:
        return False
    lane.state.moves, lane.state.position, lane.state.behind = moves, -1, True
    return True
