"""How often the link of a mail is used."""

from services.notifier.limiter import BURST, SECONDS, Limiter


def test_a_link_is_used_some_times_at_once_and_then_once_a_minute() -> None:
    links = Limiter()
    assert [links.take("m1", 100.0) for _ in range(BURST + 1)] == [0.0] * BURST + [SECONDS]
    assert links.take("m2", 100.0) == 0.0  # another one is used for itself
    assert links.take("m1", 100.0 + SECONDS) == 0.0
    assert links.take("m1", 100.0 + SECONDS) == SECONDS


def test_a_link_that_may_be_used_as_often_as_at_first_is_forgotten() -> None:
    links, full = Limiter(), 100.0 + BURST * SECONDS
    for message_id in ("m1", "m2", "m1"):
        links.take(message_id, 100.0)
    links.take("m3", full - 1)
    assert len(links) == 3
    links.take("m3", full)
    assert len(links) == 1
    assert [links.take("m1", full) for _ in range(BURST + 1)] == [0.0] * BURST + [SECONDS]
