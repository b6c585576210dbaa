"""The queue of suggestions, longer than anybody reads at once."""

from datetime import UTC, datetime
from typing import Any

import pytest

from schemas.messages import Identifier
from services.profile.identity.desk import Desk
from services.profile.identity.found import FoundPairs
from services.profile.identity.scoring import Scorer
from services.profile.identity.suggestions import Suggestions
from services.profile.resolve.model import MOST_REFUSALS, Changes, Held, Owner, Person, Refusal
from services.runtime.mongo import transaction
from tests.spine import opened, settings_of

pytestmark = pytest.mark.broker

PEOPLE = 2_400


def somebody(number: int) -> Person:
    """With an account; every fourth was once named together with the next, every other fourth
    with the first, who was so often that nothing more is told of it there."""
    at = datetime(2026, 3, 1, tzinfo=UTC)
    own, other = (
        Identifier("user_id", f"u{each:04}")
        for each in (number, number + 1 if number % 4 == 0 else 0)
    )
    refusals = [Refusal([own, other], 1, "limit", at, f"r{number}")] if number % 2 == 0 else []
    if number == 2:  # and is no more told of all who were named with this one
        refusals *= MOST_REFUSALS
    held = [Held(own.type, own.value, at, f"m{number}")]
    return Person(f"p{number:04}", held, refusals=refusals)


async def test_a_long_queue_is_shown_whole_page_by_page(stack: Any) -> None:
    async with opened(settings_of(stack)) as spine:
        everybody = [somebody(number) for number in range(PEOPLE)]
        owners = {each.identifiers[0].identifier: Owner(each.profile_id) for each in everybody}
        async with await spine.client.start_session() as session, transaction(session):
            changes = Changes(owners=owners, created=everybody)
            await spine.identities.save([], changes, session)
        found = FoundPairs(spine.database)
        desk = Desk(spine.identities, spine)
        queue = Suggestions(spine.identities, desk, Scorer(spine.profiles), found)
        put = [(f"p{number:04}", f"p{number + 2:04}") for number in range(0, PEOPLE, 2)]
        await found.put(put)  # The last is of somebody who is not there.

        seen, last, left_out = await queue.page(200, None)
        assert left_out == {"crowded": 0, "searched_at": None, "overnamed": 1}
        await found.drop([put[0], put[-2]])  # What is decided meanwhile is not shown.
        while last is not None:
            page, last, _ = await queue.page(200, last)
            seen += page
        named = {f"p{number:04}~p{number + 1:04}" for number in range(0, PEOPLE, 4)}
        named |= {f"p0000~p{number:04}" for number in range(2, PEOPLE, 4)}
        shown = sorted(each["suggestion_id"] for each in seen)
        assert shown == sorted(named | {"~".join(pair) for pair in put[:-2]})
        begun_anew, _, _ = await queue.page(200, None)
        assert begun_anew[0]["suggestion_id"] == "p0000~p0001"
