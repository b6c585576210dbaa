"""What one turn of the webhooks has decided, for the store to write."""

from dataclasses import dataclass, field

from services.profile.feed.lanes import Key
from services.profile.feed.model import Delivery, LaneState


@dataclass
class Draft:
    """Everything that a turn changes."""

    puts: dict[str, Delivery] = field(default_factory=dict)
    """New deliveries, and those that wait for another attempt."""
    removed: set[str] = field(default_factory=set)
    lanes: dict[Key, LaneState] = field(default_factory=dict)
    ended: set[Key] = field(default_factory=set)
    """Lanes of subscriptions that are no more."""
    disabled: dict[str, str] = field(default_factory=dict)
    """Subscription -> why."""
    touched: set[Key] = field(default_factory=set)
    """Lanes in which something may go now."""
    settled: list[str] = field(default_factory=list)
    given_up: list[Delivery] = field(default_factory=list)

    def put(self, delivery: Delivery) -> None:
        """Store it as it is now."""
        self.puts[delivery.id] = delivery

    def remove(self, delivery: Delivery) -> None:
        """Store it no more."""
        if self.puts.pop(delivery.id, None) is None or delivery.attempts:
            self.removed.add(delivery.id)
