"""The local stack for real: what it promises about durability, restarts and leaving no trace."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import takewhile
from pathlib import Path
from typing import Any

import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo.errors import DuplicateKeyError, PyMongoError

from deploy.local.ports import free_port
from deploy.local.processes import wait_until
from deploy.local.stack import LocalStack

Client = AsyncIOMotorClient[dict[str, Any]]

pytestmark = pytest.mark.broker


async def test_transactions_commit_whole_or_not_at_all(private_stack: LocalStack) -> None:
    client: Client = AsyncIOMotorClient(private_stack.mongo_url)
    people = client["local_stack"]["people"]
    async with await client.start_session() as session:
        async with session.start_transaction():
            await people.insert_one({"_id": "ada"}, session=session)
            await people.insert_one({"_id": "bob"}, session=session)
        session.start_transaction()
        await people.insert_one({"_id": "cid"}, session=session)
        with pytest.raises(DuplicateKeyError):
            await people.insert_one({"_id": "ada"}, session=session)
    found = [person["_id"] async for person in people.find().sort("_id")]
    client.close()
    assert found == ["ada", "bob"]


async def test_an_abandoned_transaction_is_aborted_within_twenty_seconds(
    private_stack: LocalStack,
) -> None:
    client: Client = AsyncIOMotorClient(private_stack.mongo_url)
    answer = await client.admin.command({"getParameter": 1, "transactionLifetimeLimitSeconds": 1})
    client.close()
    assert answer["transactionLifetimeLimitSeconds"] == 20


async def test_mongod_killed_and_restarted_keeps_what_it_acknowledged(
    private_stack: LocalStack,
) -> None:
    acknowledged: list[int] = []
    client: Client = AsyncIOMotorClient(private_stack.mongo_url, w="majority", retryWrites=False)
    numbers = client["local_stack"]["numbers"]

    async def write() -> None:
        for number in range(1_000_000):
            await numbers.insert_one({"_id": number})
            acknowledged.append(number)

    writing = asyncio.create_task(write())
    await until(lambda: len(acknowledged) >= 200)
    private_stack.mongod.kill()
    with pytest.raises(PyMongoError):
        await writing
    await asyncio.to_thread(private_stack.mongod.restart)
    found = {document["_id"] async for document in numbers.find()}
    client.close()
    # One more may be there: written, and killed before the answer.
    assert set(acknowledged) <= found <= {*acknowledged, len(acknowledged)}


async def test_records_come_back_in_order(private_stack: LocalStack) -> None:
    topic = await new_topic(private_stack, "ordered")
    async with producer(private_stack) as sender:
        for number in range(100):
            await sender.send(topic, b"%d" % number)
    assert await read(private_stack, topic) == list(range(100))


async def test_a_topic_is_not_created_by_using_it(private_stack: LocalStack) -> None:
    sender = AIOKafkaProducer(
        bootstrap_servers=private_stack.kafka_url, request_timeout_ms=1000, retry_backoff_ms=50
    )
    await sender.start()
    try:
        with pytest.raises(KafkaError):
            await sender.partitions_for("never_created")
    finally:
        await sender.stop()


async def test_kafka_killed_under_load_keeps_each_acknowledged_record_once(
    private_stack: LocalStack,
) -> None:
    topic = await new_topic(private_stack, "killed")
    acknowledged: list[int] = []
    killed_at = 5_000

    async with producer(private_stack) as sender:

        async def send(number: int) -> None:
            await sender.send_and_wait(topic, b"%d" % number)
            acknowledged.append(number)

        async with asyncio.TaskGroup() as sending:
            for number in range(killed_at * 2):
                sending.create_task(send(number))
            await until(lambda: len(acknowledged) >= killed_at)
            private_stack.kafka.kill()
            assert len(acknowledged) < killed_at * 2
            await asyncio.to_thread(private_stack.kafka.restart)
    assert sorted(acknowledged) == list(range(killed_at * 2))
    assert sorted(await read(private_stack, topic)) == list(range(killed_at * 2))


async def test_a_clean_restart_on_other_ports_finds_the_data(private_stack: LocalStack) -> None:
    topic = await new_topic(private_stack, "moved")
    async with producer(private_stack) as sender:
        await sender.send_and_wait(topic, b"1")
    client: Client = AsyncIOMotorClient(private_stack.mongo_url)
    await client["local_stack"]["moved"].insert_one({"_id": "ada"})
    client.close()

    private_stack.stop()
    kafka_port, mongo_port, controller_port = free_port(), free_port(), free_port()
    moved = LocalStack(
        private_stack.data_dir,
        kafka_port,
        mongo_port,
        controller_port=controller_port,
        cache_gb=0.25,
    )
    with moved:
        client = AsyncIOMotorClient(moved.mongo_url)
        person = await client["local_stack"]["moved"].find_one()
        client.close()
        assert (person, await read(moved, topic)) == ({"_id": "ada"}, [1])
    private_stack.start()


def test_a_killed_parent_leaves_no_server_behind(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from deploy.local.stack import LocalStack\n"
        "data, kafka, mongo, controller = Path(sys.argv[1]), *map(int, sys.argv[2:])\n"
        "with LocalStack(data, kafka, mongo, controller_port=controller, cache_gb=0.25) as s:\n"
        "    print(s.kafka.pid, s.mongod.pid, flush=True)\n"
        "    sys.stdin.read()\n"
    )
    ports = [str(free_port()) for _ in range(3)]
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path), *ports],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        try:
            pids = [int(pid) for pid in parent.stdout.readline().split()]
            assert [gone(pid) for pid in pids] == [False, False]
        finally:
            parent.kill()
    assert wait_until(lambda: all(map(gone, pids)), 5)


def test_up_serves_until_ctrl_c_and_ends_both_cleanly(tmp_path: Path) -> None:
    kafka, mongo = free_port(), free_port()
    options = ["--data", str(tmp_path), "--kafka-port", str(kafka), "--mongo-port", str(mongo)]
    with subprocess.Popen(
        [sys.executable, "-m", "deploy.local", "up", *options], stdout=subprocess.PIPE, text=True
    ) as command:
        try:
            assert command.stdout is not None
            said = list(takewhile(lambda line: not line.startswith("Ctrl-C"), command.stdout))
            command.send_signal(signal.SIGINT)
            said += command.communicate(timeout=60)[0].splitlines(keepends=True)
            assert command.returncode == 0
        finally:
            command.kill()
    assert said == [
        f"Kafka    127.0.0.1:{kafka}\n",
        f"MongoDB  mongodb://127.0.0.1:{mongo}/?replicaSet=rs0\n",
        "Ended.\n",
    ]
    assert '"exitCode":0' in (tmp_path / "logs" / "mongod.log").read_text()


@asynccontextmanager
async def producer(stack: LocalStack) -> AsyncIterator[AIOKafkaProducer]:
    sender = AIOKafkaProducer(
        bootstrap_servers=stack.kafka_url, acks="all", enable_idempotence=True, linger_ms=5
    )
    await sender.start()
    try:
        yield sender
    finally:
        await sender.stop()


async def new_topic(stack: LocalStack, name: str) -> str:
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.kafka_url)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, num_partitions=1, replication_factor=1)])
    finally:
        await admin.close()
    return name


async def read(stack: LocalStack, topic: str) -> list[int]:
    """Every number in a topic of one partition, in its order."""
    partition = TopicPartition(topic, 0)
    consumer = AIOKafkaConsumer(bootstrap_servers=stack.kafka_url, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([partition])
        end = (await consumer.end_offsets([partition]))[partition]
        numbers: list[int] = []
        async with asyncio.timeout(30):
            while await consumer.position(partition) < end:
                batch = await consumer.getmany(timeout_ms=1000)
                numbers += [int(record.value) for records in batch.values() for record in records]
        return numbers
    finally:
        await consumer.stop()


async def until(check: Callable[[], bool]) -> None:
    assert await asyncio.to_thread(wait_until, check, 30)


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
