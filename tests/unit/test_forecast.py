"""What a merge or a split would do to segments, from what segmentation says of each person."""

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from schemas.messages import Profile
from services.profile.build.rules.computed import Traits
from services.profile.identity.forecast import READ, Forecast, Verdict, moving
from services.profile.identity.preview import Moving, Someone, Told, Tried
from services.runtime.http import Problem
from services.segmentation.model import Person

SOON, LATER = datetime(2026, 4, 1, tzinfo=UTC), datetime(2026, 5, 1, tzinfo=UTC)


def says(member: bool, holds: bool | None, key: str = "vip", flip: Any = None) -> Verdict:
    return Verdict(key, key.upper(), member, holds, flip)


def test_whose_membership_stays_is_no_change() -> None:
    assert moving([("a", [says(True, True)])], [("a", [says(True, True)])]) == Told([])
    assert moving([("a", [says(False, True)])], [("a", [says(False, False)])]) == Told([])


def test_a_merge_and_a_split_move_people_and_time_may_move_them_on() -> None:
    one, other = ("a", [says(True, True)]), ("b", [says(False, False)])
    gone = moving([one, other], [("b", [says(False, True, flip=SOON)])])
    assert gone.segments == [
        Moving(segment="vip", name="VIP", before=["a"], after=["b"], until=SOON)
    ]
    both = [("a", [says(True, True, flip=SOON)]), ("new", [says(False, True, flip=LATER)])]
    assert moving([one], both).segments == [
        Moving(segment="vip", name="VIP", before=["a"], after=["a", "new"], until=SOON)
    ]


def test_what_cannot_be_told_stays_and_is_named() -> None:
    told = moving([("a", [says(True, None)])], [("a", [says(True, None)])])
    assert (told.segments, told.note[-5:]) == ([], " VIP.")


def test_segmentation_is_told_all_that_it_can_ask_about() -> None:
    assert {*Person.__struct_fields__} <= {*READ}


def tried(*ids: str) -> Tried:
    people = [Someone(Profile(profile_id=id_), []) for id_ in ids]
    return Tried(people, [], 0)


@pytest.mark.parametrize(
    ("status", "body", "people", "note"),
    [
        (503, b"", 1, "does not answer"),
        (200, b"[", 1, "does not answer"),
        (200, b'{"profiles": []}', 1, "of other people"),
        (200, b"", 51, "up to 50 people"),
    ],
)
async def test_a_preview_is_shown_all_the_same(
    status: int, body: bytes, people: int, note: str
) -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.headers["authorization"])
        return httpx.Response(status, content=body)

    async def away() -> Traits:
        raise Problem(503, "Service Unavailable", "Kafka does not answer.")

    forecast = Forecast(away, "http://segmentation", httpx.MockTransport(answer))
    told = await forecast.segments(tried(*map(str, range(people))), "Bearer mine")
    await forecast.close()
    assert told.segments is None
    assert note in told.note
    assert asked == ["Bearer mine"] * (people < 51)
    assert await forecast.traits() is None
