"""The console's pages about who is one person: the queue, deciding, and a customer's past."""

from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio
from nicegui.testing import User

from tests.consoling import (
    PAIR,
    QUEUE,
    SUGGESTIONS,
    Stub,
    do,
    elements,
    problem,
    settings,
    visiting,
)

UNMERGE = "/v1/profiles/p_a/unmerge"
MERGED = "2026-03-02T12:00:00Z"


def outlook(profile_id: str, interactions: int) -> dict[str, Any]:
    return {
        "profile_id": profile_id,
        "former_ids": [],
        "identifiers": [{"type": "user_id", "value": profile_id.replace("p_", "u-")}],
        "interactions": interactions,
        "traits": {},
        "order_count": 0,
        "revenue": [],
        "first_seen": None,
        "last_seen": None,
    }


JOINED: dict[str, Any] = {
    "kind": "join",
    "before": [outlook("p_a", 400), outlook("p_b", 12)],
    "after": [outlook("p_a", 412)],
    "moved": 12,
    "summary": "2 people become 1; 12 of 412 interactions move; 1 segment changes.",
    "segments": [
        {
            "segment": "vip",
            "name": "Very important",
            "before": [],
            "after": ["p_a"],
            "until": "2026-04-01T00:00:00Z",
        }
    ],
    "segments_note": "Not known yet: Keen.",
}
PARTED: dict[str, Any] = JOINED | {
    "kind": "split", "before": [], "after": [], "moved": 0, "segments": [], "segments_note": "",
}  # fmt: skip
UNMERGED: dict[str, Any] = PARTED | {
    "before": [outlook("p_a", 6)],
    "after": [outlook("p_a", 4), outlook("p_old", 2)],
    "summary": "1 person becomes 2; 2 of 6 interactions move.",
    "segments": None,
    "segments_note": "Segmentation does not answer.",
}
PERSON: dict[str, Any] = {
    "profile_id": "p_a", "version": 7, "traits": {"plan": "gold"}, "identifiers": [],
    "consent": {"email": {"state": "granted", "at": MERGED}}, "first_seen": None,
    "last_seen": None, "interactions": 6, "orders": [], "order_count": 0, "revenue": [],
}  # fmt: skip
IDENTITY: dict[str, Any] = {
    "identifiers": [],
    "merges": [
        {
            "profile_id": "p_old", "into": "p_a", "at": MERGED, "message_id": "d_1",
            "reason": "decision", "explanation": "Somebody decided that both are one person.",
            "evidence": {"type": "email", "value": "ann@x.io"}, "actor": "sam",
            "note": "She told us.",
        }
    ],
    "splits": [{"at": MERGED, "actor": "bea", "reason": "Mother and daughter."}],
    "refusals": [
        {
            "identifiers": [{"type": "user_id", "value": "u-a"},
                            {"type": "email", "value": f"{number}@x.io"}],
            "kept": 1, "reason": "limit", "explanation": "Too many of one type.", "at": MERGED,
            "message_id": f"m-{number}", "source": "crm",
        } for number in range(6, 17)
    ],
}  # fmt: skip


def page(*items: Any) -> dict[str, Any]:
    return {"items": list(items), "next": None}


def decided(*profiles: str, state: str = "applied") -> dict[str, Any]:
    return {"decision_id": "d_2", "kind": "join", "state": state, "profiles": list(profiles)}


@pytest_asyncio.fixture
async def stub() -> AsyncIterator[Stub]:
    async with Stub().served() as served:
        served.answers |= SUGGESTIONS | {
            "/v1/profiles/p_a": PERSON,
            "/v1/profiles/p_a/identity": IDENTITY,
            "/v1/profiles/p_a/traits/plan/history": page(
                {"value": "gold", "at": MERGED, "message_id": "m-2", "source": "crm",
                 "name": "Identify", "holds": True},
                {"value": None, "at": "2026-03-01T12:00:00Z", "message_id": "m-1",
                 "source": "web", "name": "Identify", "holds": False},
            ),
        }  # fmt: skip
        yield served


@pytest_asyncio.fixture
async def visitor(stub: Stub) -> AsyncIterator[User]:
    async with visiting(settings(stub.url)) as user:
        yield user


async def sees(user: User, *texts: str) -> None:
    for text in texts:
        await user.should_see(text, retries=50)


async def test_the_queue_says_who_and_why_and_how_surely(stub: Stub, visitor: User) -> None:
    await visitor.open("/suggestions")
    await sees(visitor, "Ann O'Neil and u-b", "email, close family", "phone", "14.2", "likely")
    (link,) = visitor.find("Ann O'Neil and u-b").elements
    assert link.props["href"] == "/suggestions/p_a~p_b"
    untold = {"crowded": 1_200, "searched_at": MERGED, "overnamed": 2}
    stub.answers[QUEUE] = page() | {"left_out": untold}
    await visitor.open("/suggestions")
    await sees(visitor, "Nobody waits for a decision.", "regulars profile suggest --queue")
    await sees(
        visitor, "The search of 2 Mar 2026", "1,200 people share something with too many",
        "2 people were named with so many others",
    )  # fmt: skip


async def test_a_pair_is_compared_tried_and_then_joined(stub: Stub, visitor: User) -> None:
    await visitor.open("/suggestions/p_a~p_b")
    await sees(visitor, "Family", "oneill", "+4.2", "At least 99 of 100", "m-7", "from till")
    given = {"verdict": "accept", "reason": "One passport.", "actor": ""}
    do(visitor, "submit", "form", "See what it would do", given | {"reason": " "})
    await sees(visitor, "Say why")
    assert stub.changes == []

    stub.outcomes[f"POST {PAIR}"] = JOINED
    do(visitor, "submit", "form", "See what it would do", given)
    await sees(visitor, "12 of 412 interactions move", "Very important", "nobody", "Keen")
    await sees(visitor, "Now: u-b", "Then: Ann O'Neil", "1 Apr 2026, 00:00 UTC")
    stub.outcomes[f"POST {PAIR}"] = decided("p_a")
    do(visitor, "click", "button", "Yes: they are one person")
    await sees(visitor, "It is decided.", "Go to Ann O'Neil")
    said = {"verdict": "accept", "reason": "One passport."}
    assert stub.changes == [(f"POST {PAIR}", said)] * 2
    assert [path for path, _ in stub.posted] == [PAIR, PAIR]


async def test_a_pair_is_kept_apart(stub: Stub, visitor: User) -> None:
    stub.outcomes[f"POST {PAIR}"] = PARTED
    await visitor.open("/suggestions/p_a~p_b")
    given = {"verdict": "reject", "reason": "Mother and daughter.", "actor": "bea"}
    do(visitor, "submit", "form", "See what it would do", given)
    await sees(visitor, "They stay two people")
    stub.outcomes[f"POST {PAIR}"] = decided("p_a", "p_b", state="pending")
    do(visitor, "click", "button", "Yes: they are two people")
    await sees(visitor, "will be done shortly", "Go to u-b")
    assert stub.changes[-1] == (f"POST {PAIR}", given)


async def test_who_may_not_decide_is_told_whose_role_it_takes(stub: Stub, visitor: User) -> None:
    stub.outcomes[f"POST {PAIR}"] = problem(403, "Forbidden", "This needs the role support.")
    await visitor.open("/suggestions/p_a~p_b")
    given = {"verdict": "accept", "reason": "x"}
    do(visitor, "submit", "form", "See what it would do", given)
    await sees(visitor, "does not let this token's role do this. This needs the role support.")


async def test_a_merge_is_undone_from_the_customers_page(stub: Stub, visitor: User) -> None:
    await visitor.open("/customers/p_a")
    await sees(visitor, "Merged with p_old on 2 Mar 2026", "Decided by sam: She told us.")
    await sees(visitor, "Kept apart from somebody since", "Decided by bea: Mother and daughter.")
    await sees(
        visitor, "email 9@x.io was named with user id u-a, and is not linked",
        "Too many of one type.", "By message m-9 from crm", "And 1 more that are not linked.",
    )  # fmt: skip
    stub.outcomes[f"POST {UNMERGE}"] = UNMERGED
    hint = "Both are then as if they had never been one, and nothing that comes joins them again."
    do(visitor, "submit", "form", hint, {"reason": "A colleague."})
    await sees(visitor, "1 person becomes 2; 2 of 6", "Then: p_old", "Segmentation does not answer")
    stub.outcomes[f"POST {UNMERGE}"] = decided("p_a", "p_old")
    do(visitor, "click", "button", "Yes: they are two people")
    await sees(visitor, "It is decided.", "Go to p_old")
    assert stub.changes == [(f"POST {UNMERGE}", {"merge": "p_old", "reason": "A colleague."})] * 2


async def test_identifiers_are_taken_off_a_person(stub: Stub, visitor: User) -> None:
    held = {"first_seen": MERGED, "message_id": "m"}
    names = [{"type": "user_id", "value": "u-a"}, {"type": "email", "value": "bob@x.io"}]
    stub.answers["/v1/profiles/p_a/identity"] = IDENTITY | {
        "merges": [], "identifiers": [one | held for one in names],
    }  # fmt: skip
    stub.outcomes[f"POST {UNMERGE}"] = UNMERGED
    await visitor.open("/customers/p_a")
    do(visitor, "submit", "form", "email bob@x.io", {"reason": "A couple."})
    await sees(visitor, "Tick what is another person's.")
    given = {"reason": "A couple.", "tick-1": "on"}
    do(visitor, "submit", "form", "email bob@x.io", given)
    await sees(visitor, "1 person becomes 2")
    said = {"reason": "A couple.", "identifiers": [names[1]]}
    assert stub.changes == [(f"POST {UNMERGE}", said)]


async def test_somebody_else_is_joined_by_hand(stub: Stub, visitor: User) -> None:
    call = "POST /v1/profiles/p_a/merge"
    stub.outcomes[call] = JOINED
    await visitor.open("/customers/p_a")
    given = {"with": "p_b", "reason": "She told us."}
    do(visitor, "submit", "form", "Profile id of the other", given)
    await sees(visitor, "2 people become 1")
    stub.outcomes[call] = decided("p_a")
    do(visitor, "click", "button", "Yes: they are one person")
    await sees(visitor, "It is decided.")
    assert stub.changes == [(call, given)] * 2


async def test_a_trait_tells_every_word_on_it(stub: Stub, visitor: User) -> None:
    await visitor.open("/customers/p_a")
    do(visitor, "toggle", "details", "Plan")
    await sees(visitor, "holds", "from crm", "Identify, message m-2", "unset", "message m-1")
    assert stub.asked[-1] == "/v1/profiles/p_a/traits/plan/history?limit=20"


async def test_a_customer_is_shown_as_they_were(stub: Stub, visitor: User) -> None:
    stub.answers["/v1/profiles/p_a"] = PERSON | {"as_of": MERGED, "traits": {"plan": "tin"}}
    await visitor.open("/customers/p_a?at=2026-03-02T12:00")
    await sees(visitor, "As of 2 Mar 2026, 12:00 UTC", "tin", "Back to today", "granted since")
    assert stub.asked == ["/v1/profiles/p_a?at=2026-03-02T12%3A00%3A00%2B00%3A00"]
    (field,) = [one for one in elements(visitor, "input") if one.props.get("name") == "at"]
    assert field.props["value"] == "2026-03-02T12:00"

    await visitor.open("/customers/p_a?at=soon")
    await sees(visitor, "Name a day and a time, such as")
    detail = "Nothing that happened until then is known of them."
    stub.answers["/v1/profiles/p_a"] = problem(404, "Not Found", detail)
    await visitor.open("/customers/p_a?at=1999-01-01")
    await sees(visitor, detail, "Back to today")


async def test_a_segment_that_waits_says_for_what(stub: Stub, visitor: User) -> None:
    segment = {
        "key": "keen", "name": "Keen", "version": 1, "updated_at": MERGED, "members": 0,
        "rule": {"trait": "plan", "op": "exists"}, "state": "waiting",
        "waiting_for": [{"trait": "ct_1", "condition": "count of Cart Viewed >= 1"}],
    }  # fmt: skip
    stub.answers["/v1/segments"] = page(segment)
    await visitor.open("/segments")
    await sees(visitor, "filled in with: count of Cart Viewed >= 1.", "nobody enters or leaves")
    stub.answers["/v1/segments"] = page(segment | {"state": "evaluating", "waiting_for": []})
    await visitor.open("/segments")
    await sees(visitor, "Everybody is being asked")
