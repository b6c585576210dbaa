"""What is left out of the log, and what is not."""

import logging

from services.runtime.log import Repetitions

AWAY = ("Unable connect to node with id %s: %s", 1, "refused")


def test_the_kafka_client_says_the_same_once_in_ten_seconds() -> None:
    now = 100.0
    repetitions = Repetitions(lambda: now)

    def said(name: str, message: str, *given: object) -> bool:
        record = logging.LogRecord(name, logging.ERROR, "", 0, message, given, None)
        return repetitions.filter(record)

    assert said("aiokafka", *AWAY)
    assert not said("aiokafka", *AWAY)
    assert said("aiokafka", AWAY[0], 2, "refused")
    assert said("aiokafka.producer.sender", *AWAY)
    assert [said("services.ingest", "batch not sent") for _ in range(3)] == [True] * 3
    now += 9.9
    assert not said("aiokafka", *AWAY)
    now += 0.1
    assert said("aiokafka", *AWAY)
    assert not said("aiokafka", *AWAY)
