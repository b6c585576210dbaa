"""What is decided of people whose identifiers would not be taken as such today."""

from datetime import UTC, datetime
from typing import Any, cast

from schemas.messages import Identifier
from services.profile.identity.desk import Asked, Desk
from services.profile.resolve.model import Held, Person

AT = datetime(2026, 3, 1, tzinfo=UTC)
ANN, NOBODY, ADDRESS = (
    Identifier("user_id", "ann"), Identifier("loyalty_card", "unknown"),
    Identifier("phone", "+4930"),
)  # fmt: skip
WHY = Asked("bea", "They are two.")


class Stored:
    """The part of ``IdentityStore`` that is asked."""

    async def devices(self, profile_id: str) -> dict[str, Any]:
        return {}


def person(*named: Identifier) -> Person:
    return Person("p", [Held(one.type, one.value, AT, "m", "shop") for one in named])


async def test_what_names_nobody_any_more_can_still_be_taken_off() -> None:
    desk = Desk(cast(Any, Stored()), cast(Any, None), lambda: AT)
    whole = person(ANN, NOBODY, ADDRESS)
    split = await desk.split(whole, [NOBODY], WHY)
    assert (split.a, split.b) == ((NOBODY,), (ANN, ADDRESS))
    apart = await desk.part(person(ANN), person(NOBODY, ADDRESS), WHY)
    assert (apart.a, apart.b) == ((ANN,), (ADDRESS, NOBODY))
