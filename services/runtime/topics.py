"""Creating the topics of ``schemas.topics``, and the ones that Faust would create itself."""

from collections.abc import Iterable, Sequence

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import for_code

from schemas.topics import ALL, Topic
from services.runtime.offsets import Offsets
from services.runtime.settings import Settings

_EXISTS = 36


class TopicMismatch(Exception):
    """A topic exists with another number of partitions: keys would change their owner."""


def leader_topic(app_id: str) -> str:
    """The topic through which Faust elects the leader of an app."""
    return f"{app_id}-__assignor-__leader"


async def create_topics(settings: Settings, app_ids: Iterable[str]) -> list[str]:
    """Create every topic that is missing; returns the names of those created, ready for use.

    Raises ``TopicMismatch`` when an existing one has another partition count, and
    ``KafkaError`` when the broker refuses.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_url)
    await admin.start()
    try:
        existing = {
            item["topic"]: len(item["partitions"]) for item in await admin.describe_topics()
        }
        _check(settings, existing)
        wanted = [_new(settings.topic(topic.name), topic, settings) for topic in ALL]
        wanted += [
            NewTopic(leader_topic(app_id), 1, settings.replication_factor) for app_id in app_ids
        ]
        missing = [topic for topic in wanted if topic.name not in existing]
        if missing:
            response = await admin.create_topics(missing)
            for name, code, *_ in response.topic_errors:
                if code not in (0, _EXISTS):
                    raise for_code(code)(name)
    finally:
        await admin.close()
    if missing:
        await _wait_for_leaders(settings, missing)
    return [topic.name for topic in missing]


async def _wait_for_leaders(settings: Settings, created: Sequence[NewTopic]) -> None:
    """Return once every partition answers: a busy broker takes seconds to lead a new one."""
    offsets = Offsets(settings, "topics")
    await offsets.start()
    try:
        await offsets.end(
            [
                TopicPartition(topic.name, n)
                for topic in created
                for n in range(topic.num_partitions)
            ]
        )
    finally:
        await offsets.stop()


def _new(name: str, topic: Topic, settings: Settings) -> NewTopic:
    config = topic.config()
    if topic.stamped:
        config["message.timestamp.before.max.ms"] = str(round(settings.publish_within_s * 1000))
    return NewTopic(name, topic.partitions, settings.replication_factor, topic_configs=config)


def _check(settings: Settings, existing: dict[str, int]) -> None:
    for topic in ALL:
        name = settings.topic(topic.name)
        found = existing.get(name, topic.partitions)
        if found != topic.partitions:
            raise TopicMismatch(
                f"topic {name} has {found} partitions and needs {topic.partitions}: "
                "delete it, or use another REGULARS_NAMESPACE"
            )
