"""Where topics begin and end, asked over a connection of its own.

A broker answers the requests of one connection in their order, and holds a fetch back for as
long as there is nothing new: on a consumer's connection such a question would wait behind it.
"""

from collections.abc import Collection, Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition

from services.runtime.settings import Settings


class Offsets:
    """Answers from the broker; every method may raise ``KafkaError``."""

    def __init__(self, settings: Settings, name: str) -> None:
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=settings.kafka_url, group_id=None, client_id=f"{name}-offsets"
        )

    async def start(self) -> None:
        """Connect."""
        await self._consumer.start()

    async def stop(self) -> None:
        """Close the connection."""
        await self._consumer.stop()

    async def first(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        """The earliest offset of each that is still there."""
        return dict(await self._consumer.beginning_offsets(list(partitions)))

    async def end(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        """The offset that each one's next record will have."""
        return dict(await self._consumer.end_offsets(list(partitions)))
