"""What the servers and libraries give when nothing is decided: processes that benches start.

    python -m tests.bench.limits stage|producer|http '<parameters as JSON>'

``stage``: the raw transaction loop (``tests.bench.raw``). ``producer``: the same records to
the same topics. ``http``: an endpoint that decodes bodies.
"""

import asyncio
import gc
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from granian.constants import Interfaces
from granian.server.embed import Server
from msgspec import Struct

from tests.bench.raw import Bare, StageLimit


class ProducerLimit(Struct):
    """Parameters of ``producer``: the records lie on ``inputs`` already; once more, for ever."""

    kafka_url: str
    inputs: dict[str, int]
    outputs: dict[str, str]
    """Real name of an input -> of the topic to write to."""
    batch: int


async def produce(given: ProducerLimit) -> None:
    """Read all, then send until ended, printing how many were acknowledged."""
    consumer = AIOKafkaConsumer(bootstrap_servers=given.kafka_url, auto_offset_reset="earliest")
    await consumer.start()
    partitions = [TopicPartition(n, p) for n, c in given.inputs.items() for p in range(c)]
    consumer.assign(partitions)
    wanted = sum((await consumer.end_offsets(partitions)).values())
    records: list[Any] = []
    while len(records) < wanted:
        for batch in (await consumer.getmany(timeout_ms=1_000)).values():
            records += batch
    await consumer.stop()
    producer = AIOKafkaProducer(
        bootstrap_servers=given.kafka_url,
        acks="all",
        enable_idempotence=True,
        max_batch_size=900_000,
        max_request_size=12_000_000,
    )
    await producer.start()
    gc.collect()
    gc.freeze()
    lanes: dict[tuple[str, int], list[Any]] = defaultdict(list)
    for record in records:
        lanes[given.outputs[record.topic], record.partition].append(
            (record.key, record.value, list(record.headers))
        )
    done = 0

    async def drive(lane: tuple[str, int], mine: Sequence[Any]) -> None:
        nonlocal done
        while True:
            for start in range(0, len(mine), given.batch):
                slice_ = mine[start : start + given.batch]
                await publish(producer, *lane, slice_)
                done += len(slice_)

    async def tell() -> None:
        while True:
            await asyncio.sleep(0.1)
            print(done, flush=True)

    await asyncio.gather(tell(), *(drive(lane, mine) for lane, mine in lanes.items()))


async def publish(
    producer: Any, topic: str, partition: int, records: Sequence[tuple[bytes, bytes, Any]]
) -> None:
    """Send records of one partition in whole batches; returns when all are acknowledged."""
    batch = producer.create_batch()
    for key, value, headers in records:
        if batch.append(timestamp=None, key=key, value=value, headers=headers) is None:
            await (await producer.send_batch(batch, topic, partition=partition))
            batch = producer.create_batch()
            batch.append(timestamp=None, key=key, value=value, headers=headers)
    await (await producer.send_batch(batch, topic, partition=partition))


class HttpLimit(Struct):
    """Parameters of ``http``."""

    port: int


class _Batch(Struct):
    batch: list[dict[str, Any]]


_decode_batch = msgspec.json.Decoder(_Batch).decode
_decode_event = msgspec.json.Decoder(dict[str, Any]).decode


async def endpoint(scope: Mapping[str, Any], receive: Any, send: Any) -> None:
    """A bare ASGI application: decode what came, answer how many events that were."""
    if scope["type"] != "http":
        return
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    events = 0
    if body:
        events = len(_decode_batch(body).batch) if b'"batch"' in body[:16] else 1
        if events == 1:
            _decode_event(body)
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b'{"accepted":%d}' % events})


async def serve(given: HttpLimit) -> None:
    """Serve ``endpoint`` until ended."""
    server = Server(
        endpoint,
        address="127.0.0.1",
        port=given.port,
        interface=Interfaces.ASGI,
        websockets=False,
        log_enabled=False,
    )
    await server.serve()


async def _main(what: str, text: str) -> None:
    if what == "stage":
        await Bare(msgspec.json.decode(text, type=StageLimit)).run()
    elif what == "producer":
        await produce(msgspec.json.decode(text, type=ProducerLimit))
    else:
        await serve(msgspec.json.decode(text, type=HttpLimit))


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_main(*sys.argv[1:]))
