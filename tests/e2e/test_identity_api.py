"""Who is one person, decided by messages and by people: resolve, build and API on one database."""

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import httpx
import pytest
import pytest_asyncio

from schemas.messages import Definition, Event
from services.profile.api import create_app
from services.profile.build.rules.computed import Traits
from services.profile.build.rules.declared import declared_traits
from services.profile.build.rules.orders import net_of, orders_of
from services.profile.build.store import HistoryStore
from services.profile.identity import shapes
from services.profile.identity.desk import Desk
from services.profile.identity.forecast import Forecast
from services.profile.identity.found import FoundPairs
from services.profile.identity.scoring import Scorer
from services.profile.identity.suggestions import Suggestions
from services.profile.repair.proving import Proof
from services.profile.settings import ProfileSettings
from services.profile.traits.past import Past
from services.runtime.mongo import transaction
from services.segmentation.api import create_app as create_segmentation
from services.segmentation.definitions import Stored
from services.segmentation.model import Heard, Membership, Standing
from services.segmentation.rules.computed import body_of, traits_of
from services.segmentation.rules.dump import dump, encode
from services.segmentation.rules.parse import parse
from services.segmentation.settings import SegmentationSettings
from services.segmentation.store import People
from services.segmentation.work import Saved, Write
from tests.people import at
from tests.spine import Spine, event, opened, settings_of

pytestmark = pytest.mark.broker

READER = {"Authorization": "Bearer reader"}
SUPPORT = {"Authorization": "Bearer support"}


@pytest.fixture
def settings(stack: Any) -> ProfileSettings:
    return settings_of(stack)


@pytest_asyncio.fixture
async def spine(settings: ProfileSettings) -> AsyncIterator[Spine]:
    async with opened(settings) as spine:
        yield spine


@pytest_asyncio.fixture
async def api(settings: ProfileSettings, spine: Spine) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(settings)
    app.state.identity = Desk(spine.identities, spine)
    app.state.suggestions = Suggestions(
        spine.identities, app.state.identity, Scorer(spine.profiles), FoundPairs(spine.database)
    )
    app.state.forecast = Forecast(declared, "http://127.0.0.1:1")
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://profile", headers=SUPPORT
    ) as client:
        client.app = app  # type: ignore[attr-defined]
        yield client
    await app.state.forecast.close()
    app.state.client.close()


async def declared() -> Traits:
    """No computed traits."""
    return Traits({})


async def get(api: httpx.AsyncClient, path: str) -> Any:
    response = await api.get(path)
    assert response.status_code == 200, response.text
    return response.json()


async def person(api: httpx.AsyncClient, identifier: str) -> dict[str, Any]:
    """The profile of ``<type>/<value>``, but for what counts its changes."""
    found = await get(api, f"/v1/profiles/by/{identifier}")
    return {name: value for name, value in found.items() if name != "version"}


async def post(api: httpx.AsyncClient, path: str, body: Any, status: int = 200) -> Any:
    response = await api.post(path, json=body)
    assert response.status_code == status, response.text
    return response.json()


def bought(message_id: str, seconds: float, order: str, price: str, **names: Any) -> Event:
    properties = {"order_id": order, "revenue": price, "currency": "EUR", "products": []}
    return event(message_id, seconds, event="Order Completed", properties=properties, **names)


VISITED = [
    event("v1", 1, "page", anonymous_id="pc", context={"traits": {"likes": "tea"}}),
    bought("v2", 2, "o1", "10", anonymous_id="pc"),
    event("v3", 3, event="Consent Updated", anonymous_id="pc",
          properties={"channel": "sms", "state": "granted"}),
]  # fmt: skip
NUMBERED = {"context": {"externalIds": [{"type": "order", "id": "h1"}]}}
HANDED_ON = [
    bought("h1", 1, "h1", "10", user_id="ann", **NUMBERED),
    event("h2", 2, event="Order Refunded", properties={"order_id": "h1", "total": "4"}, **NUMBERED),
    event("h3", 3, "identify", user_id="bob", traits={"name": "Bob"}),
    event("h4", 4, event="Order Updated", user_id="bob", **NUMBERED,
          properties={"order_id": "h1", "revenue": "9", "currency": "EUR"}),
]  # fmt: skip
KNOWN = [
    event("k1", 4, "identify", user_id="ann", traits={"email": "ann@x.io", "name": "Ann"}),
    bought("k2", 5, "o2", "20", user_id="ann"),
]
LOGIN = event("k3", 6, "identify", user_id="ann", anonymous_id="pc", traits={"plan": "gold"})
WHY = {"reason": "It was a colleague."}


async def test_an_order_that_is_handed_on_is_whole_with_who_has_it_and_there_alone(api, spine):
    async def money() -> list[list[str]]:
        people = [await person(api, f"user_id/{name}") for name in ("ann", "bob")]
        return [[one["amount"] for one in each["revenue"]] for each in people]

    await spine.happened(*HANDED_ON)
    ann, bob = await person(api, "user_id/ann"), await person(api, "user_id/bob")
    assert await money() == [[], ["5.00"]]
    assert (ann["orders"], ann["counters"]) == ([], {"Order Completed": 1, "Order Refunded": 1})
    (order,) = bob["orders"]
    assert (order["ordered_at"], len(order["refunds"])) == ("2026-03-01T12:00:01Z", 1)
    path = f"/v1/profiles/{ann['profile_id']}"
    told = (await get(api, f"{path}/interactions"))["items"]
    assert [one["handed_to"] for one in told] == [bob["profile_id"]] * 2
    who = await spine.identities.person(bob["profile_id"])
    was = await Past(spine.identities, declared).profile(who, at(3))
    assert [net_of(one) for one in orders_of(was.state)] == [Decimal(6)]
    shop = HistoryStore(spine.database, spine.identities, "profile-resolve")
    proof = Proof(spine.client, spine.profiles, shop, await declared())
    assert await proof.wrong_of([ann["profile_id"], bob["profile_id"]], 0) == []

    joined = {"with": bob["profile_id"], **WHY}
    tried = await post(api, f"{path}/merge?preview=true", joined)
    assert [one["revenue"][0]["amount"] for one in tried["after"]] == ["5.00"]
    await post(api, f"{path}/merge", joined)
    assert await money() == [["5.00"], ["5.00"]]
    told = (await get(api, f"{path}/interactions"))["items"]
    assert [one["handed_to"] for one in told] == [None] * 4
    one = {bob["profile_id"], ann["profile_id"]} - {
        (await person(api, "user_id/ann"))["profile_id"]
    }
    await post(api, f"{path}/unmerge", {"merge": one.pop(), **WHY})
    assert await money() == [[], ["5.00"]]
    back = event("h5", 5, event="Order Cancelled", user_id="ann", **NUMBERED,
                 properties={"order_id": "h1"})  # fmt: skip
    await spine.happened(back)
    ann, bob = await person(api, "user_id/ann"), await person(api, "user_id/bob")
    assert ([one["status"] for one in ann["orders"]], bob["orders"]) == (["cancelled"], [])
    assert await proof.wrong_of([ann["profile_id"], bob["profile_id"]], 0) == []


async def test_an_anonymous_visitor_becomes_known_and_an_unmerge_gives_back_both(api, spine):
    await spine.happened(*VISITED, *KNOWN)
    visitor, ann = await person(api, "anonymous_id/pc"), await person(api, "user_id/ann")
    await spine.happened(LOGIN)
    both = await person(api, "user_id/ann")
    assert both["traits"] == {
        "likes": "tea", "email": "ann@x.io", "name": "Ann", "plan": "gold",
    }  # fmt: skip
    assert (both["order_count"], both["revenue"]) == (2, [{"amount": "30.00", "currency": "EUR"}])
    assert both["consent"].keys() == {"sms"}
    assert await person(api, "anonymous_id/pc") == both

    path, what = f"/v1/profiles/{both['profile_id']}", {"merge": visitor["profile_id"], **WHY}
    tried = await post(api, f"{path}/unmerge?preview=true", what)
    shapes.Preview.model_validate(tried)
    assert tried["summary"] == "1 person becomes 2; 3 of 6 interactions move."
    assert (tried["segments"], tried["segments_note"][:12]) == (None, "Segmentation")
    assert {each["profile_id"]: each["interactions"] for each in tried["after"]} == {
        visitor["profile_id"]: 3, ann["profile_id"]: 3,
    }  # fmt: skip
    assert await person(api, "user_id/ann") == both

    done = await post(api, f"{path}/unmerge", what)
    shapes.Decided.model_validate(done)
    assert (done["state"], done["actor"]) == ("applied", "support")
    assert set(done["profiles"]) == {visitor["profile_id"], ann["profile_id"]}
    assert await get(api, f"/v1/identity/decisions/{done['decision_id']}") == done
    assert await person(api, "anonymous_id/pc") == visitor
    after = await person(api, "user_id/ann")
    assert after["traits"] == {"email": "ann@x.io", "name": "Ann", "plan": "gold"}
    assert {**ann, **{key: after[key] for key in ("traits", "last_seen", "interactions",
                                                  "counters")}} == after  # fmt: skip

    # What had joined them does not join them again, and both go on.
    await spine.happened(
        event("n1", 7, event="Cart Viewed", user_id="ann", anonymous_id="pc"),
        event("n2", 8, event="Cart Viewed", anonymous_id="pc"),
    )
    mine = [await person(api, each) for each in ("user_id/ann", "anonymous_id/pc")]
    assert [each["interactions"] for each in mine] == [4, 4]
    identity = await get(api, f"{path}/identity")
    shapes.Identity.model_validate(identity)
    assert [(each["actor"], each["reason"]) for each in identity["splits"]] == [
        ("support", "It was a colleague.")
    ]
    assert (identity["merges"], identity["devices"]) == ([], [])

    # And a merge by hand takes that back.
    merge = {"with": visitor["profile_id"], "reason": "It was her.", "actor": "sam"}
    await post(api, f"{path}/merge", merge)
    again = await person(api, "anonymous_id/pc")
    assert again == await person(api, "user_id/ann")
    assert (again["interactions"], again["order_count"]) == (8, 2)
    (told,) = (await get(api, f"{path}/identity"))["merges"]
    assert (told["reason"], told["actor"], told["note"]) == ("decision", "sam", "It was her.")


async def test_two_who_share_a_browser_have_each_their_own_also_what_comes_late(api, spine):
    def at(number: int, **names: Any) -> Event:
        return event(f"s{number}", number, event="Cart Viewed", **names)

    await spine.happened(
        at(10, anonymous_id="pc"),
        at(20, user_id="ann", anonymous_id="pc"),
        at(30, anonymous_id="pc"),
        at(40, user_id="bob", anonymous_id="pc"),
        at(50, anonymous_id="pc"),
        at(35, anonymous_id="pc"),
        at(60, user_id="ann", anonymous_id="pc"),
        at(70, anonymous_id="pc"),
        at(45, anonymous_id="pc"),
        at(15, anonymous_id="pc"),
        at(65, user_id="bob", anonymous_id="pc"),
    )
    timelines = {}
    for name in ("ann", "bob"):
        id_ = (await person(api, f"user_id/{name}"))["profile_id"]
        page = await get(api, f"/v1/profiles/{id_}/interactions")
        timelines[name] = sorted(int(each["interaction_id"][1:]) for each in page["items"])
    assert timelines == {"ann": [10, 15, 20, 30, 35, 60], "bob": [40, 45, 50, 65, 70]}
    counts = [(await person(api, f"user_id/{name}"))["counters"] for name in ("ann", "bob")]
    assert counts == [{"Cart Viewed": 6}, {"Cart Viewed": 5}]


async def test_one_person_by_web_app_shop_mail_and_chat_is_one_timeline(api, spine):
    def external(type: str, id: str) -> dict[str, Any]:
        return {"externalIds": [{"type": type, "id": id, "collection": "users"}]}

    mail = {"traits": {"email": "Ann@X.io"}}
    await spine.happened(
        event("w1", 1, "page", source="web", anonymous_id="pc"),
        event("c1", 2, event="Live Chat Message Sent", source="chat", anonymous_id="chat:1:55",
              context=external("chatwoot_contact_id", "55")),
        event("m1", 3, event="Email Opened", source="mailer", context=mail),
        event("a1", 4, "screen", source="app", anonymous_id="app-1", user_id="7",
              context={"device": {"id": "d1"}}),
        bought("s1", 5, "o1", "10", source="shop", user_id="7",
               context=mail | external("shopify_customer_id", "7")),
        event("c2", 6, "identify", source="chat", anonymous_id="chat:1:55",
              context=mail | external("chatwoot_contact_id", "55")),
        event("t1", 7, event="Order Completed", source="till", anonymous_id="loyalty_card:C9",
              context=mail | external("loyalty_card", "C9"),
              properties={"order_id": "t/1", "revenue": "5", "currency": "EUR"}),
        event("w2", 8, "identify", source="web", anonymous_id="pc", traits={"email": "ann@x.io"}),
    )  # fmt: skip
    one = await person(api, "email/ann@x.io")
    assert (one["interactions"], one["order_count"]) == (8, 2)
    for name in (
        "user_id/7", "customer_id/shop/7", "contact_id/chat/55", "loyalty_card/C9",
        "anonymous_id/pc", "anonymous_id/app-1", "anonymous_id/chat:1:55", "device_id/d1",
    ):  # fmt: skip
        assert await person(api, name) == one


async def test_identifiers_are_split_off_and_the_senders_go_on_naming_both(api, spine):
    couple = {"traits": {"email": "bob@x.io", "phone": "+493012345678"}}
    await spine.happened(
        event("m1", 1, "identify", user_id="ann", traits={"email": "ann@x.io"}),
        event("m2", 2, event="Cart Viewed", user_id="ann", context=couple),
        event("m3", 3, event="Email Opened", context={"traits": {"email": "bob@x.io"}}),
    )
    ann = await person(api, "email/bob@x.io")
    what = {"identifiers": [{"type": "Email", "value": " BOB@x.io"}], **WHY}
    path = f"/v1/profiles/{ann['profile_id']}/unmerge"
    tried = await post(api, f"{path}?preview=true", what)
    shown = {"type": "email", "value": "bob@x.io"}
    (before,), after = tried["before"], tried["after"]
    assert [shown in each["identifiers"] for each in (before, *after)].count(True) == 2
    await post(api, path, what)
    await spine.happened(event("m4", 4, event="Cart Viewed", user_id="ann", context=couple))
    bob, ann = await person(api, "email/bob@x.io"), await person(api, "user_id/ann")
    assert bob["profile_id"] != ann["profile_id"]
    assert (bob["interactions"], ann["interactions"]) == (1, 3)
    assert bob["identifiers"] == [{"type": "email", "value": "bob@x.io"}]
    assert {"type": "email", "value": "bob@x.io"} not in ann["identifiers"]
    refusals = (await get(api, f"/v1/profiles/{ann['profile_id']}/identity"))["refusals"]
    assert {each["reason"] for each in refusals} == {"decision"}


async def test_of_three_who_were_made_one_each_is_taken_off_alone(api, spine):
    await spine.happened(*(named(name, n, email=f"{name}@x.io") for n, name in enumerate("abc")))
    a, b, c = [(await person(api, f"user_id/{name}"))["profile_id"] for name in "abc"]
    await post(api, f"/v1/profiles/{a}/merge", {"with": b, **WHY})
    await post(api, f"/v1/profiles/{b}/merge", {"with": c, **WHY})
    everybody = await person(api, "user_id/b")
    assert everybody["interactions"] == 3
    path = f"/v1/profiles/{everybody['profile_id']}/unmerge"
    await post(api, path, {"identifiers": [{"type": t, "value": v} for t, v in (
        ("user_id", "b"), ("email", "b@x.io"))], **WHY})  # fmt: skip
    assert await person(api, "user_id/a") == await person(api, "user_id/c")
    assert (await person(api, "user_id/b"))["interactions"] == 1
    # A join takes back what was kept apart, also where another name is the best by now.
    profile_id = (await person(api, "user_id/c"))["profile_id"]
    await post(api, f"/v1/profiles/{profile_id}/merge", {"with": b, **WHY})
    again = await person(api, "email/b@x.io")
    assert (again["interactions"], again) == (3, await person(api, "email/c@x.io"))


async def test_a_preview_shows_an_identifier_leaving_who_has_it_in_every_message(api, spine):
    await spine.happened(*KNOWN)
    path = f"/v1/profiles/{(await person(api, 'user_id/ann'))['profile_id']}/unmerge?preview=true"
    what = {"identifiers": [{"type": "email", "value": "ann@x.io"}], **WHY}
    tried = await post(api, path, what)
    user_id, email = (
        {"type": t, "value": v} for t, v in (("user_id", "ann"), ("email", "ann@x.io"))
    )
    assert [each["identifiers"] for each in tried["before"]] == [[email, user_id]]
    assert [each["identifiers"] for each in tried["after"]] == [[user_id]]
    assert tried["moved"] == 0


@pytest.mark.parametrize(("verdict", "people"), [("accept", 1), ("reject", 2)])
async def test_two_accounts_with_one_address_are_suggested_until_somebody_decides(
    api, spine, verdict, people
):
    mail = {"traits": {"email": "home@x.io"}}
    said = [
        event("m1", 1, event="Cart Viewed", user_id="ann", context=mail),
        event("m2", 2, event="Cart Viewed", user_id="bob", context=mail),
        event("m3", 3, event="Cart Viewed", user_id="cyd"),
    ]
    await spine.happened(*said)
    (found,) = (await get(api, "/v1/identity/suggestions"))["items"]
    shapes.Suggestion.model_validate(found)
    ids = {(await person(api, f"user_id/{name}"))["profile_id"] for name in ("ann", "bob")}
    assert {each["profile_id"] for each in found["people"]} == ids
    assert [each["message_id"] for each in found["evidence"]] == ["m2"]
    path = f"/v1/identity/suggestions/{found['suggestion_id']}"
    await post(api, path, {"verdict": verdict, "reason": "I know them."})
    ids = {(await person(api, f"user_id/{name}"))["profile_id"] for name in ("ann", "bob")}
    assert len(ids) == people
    await spine.happened(event("m4", 4, event="Cart Viewed", user_id="bob", context=mail))
    left_out = {"crowded": 0, "searched_at": None, "overnamed": 0}
    assert await get(api, "/v1/identity/suggestions") == {
        "items": [], "next": None, "left_out": left_out,
    }  # fmt: skip
    assert (await person(api, "user_id/bob"))["interactions"] == {1: 3, 2: 2}[people]
    await post(api, path, {"verdict": verdict, "reason": "Again."}, 404)


async def test_a_sixth_address_is_nobodys_and_an_alias_of_two_accounts_is_suggested(api, spine):
    await spine.happened(
        *(named("ann", number, email=f"{number}@x.io") for number in range(6)),
        event("w1", 6, "page", anonymous_id="web-1", source="web"),
        event("w2", 7, "alias", user_id="ann", previous_id="web-1", source="crm"),
        event("a1", 8, "alias", user_id="ann", previous_id="bob", source="crm"),
    )
    ann, account = await person(api, "user_id/ann"), {"type": "user_id", "value": "ann"}

    async def refusals() -> Any:
        found = await get(api, f"/v1/profiles/{ann['profile_id']}/identity")
        assert [one["value"] for one in found["devices"]] == ["bob", "web-1"]
        return [(one["identifiers"], one["kept"], one["reason"]) for one in found["refusals"]]

    address = ([account, {"type": "email", "value": "5@x.io"}], 1, "limit")
    assert await refusals() == [address]  # of an alias the device is linked, and nothing is left
    await spine.happened(event("b1", 9, "identify", user_id="bob", source="crm"))
    ann, bob = await person(api, "user_id/ann"), await person(api, "user_id/bob")
    assert await refusals() == [
        address,
        ([account, {"type": "user_id", "value": "bob"}], 1, "limit"),
    ]
    assert (await api.get("/v1/profiles/by/email/5@x.io")).status_code == 404
    (waits,) = (await get(api, "/v1/identity/suggestions"))["items"]
    assert {one["profile_id"] for one in waits["people"]} == {ann["profile_id"], bob["profile_id"]}
    assert [one["message_id"] for one in waits["evidence"]] == ["a1"]
    path = f"/v1/identity/suggestions/{waits['suggestion_id']}"
    await post(api, path, {"verdict": "accept", **WHY})
    assert await person(api, "user_id/ann") == await person(api, "user_id/bob")
    assert (await get(api, "/v1/identity/suggestions"))["items"] == []


async def test_what_cannot_be_decided_is_a_problem_that_says_why(api, spine):
    await spine.happened(*KNOWN, event("x1", 9, "page", anonymous_id="a"),
                         event("x2", 9, "page", anonymous_id="b"))  # fmt: skip
    ann = (await person(api, "user_id/ann"))["profile_id"]
    one, other = [(await person(api, f"anonymous_id/{id}"))["profile_id"] for id in "ab"]
    email = {"type": "email", "value": "ann@x.io"}
    for path, body, status in [
        (f"{ann}/unmerge", {"merge": "p_x", **WHY}, 404),
        ("nobody/unmerge", {"merge": "p_x", **WHY}, 404),
        (f"{ann}/unmerge", WHY, 422),
        (f"{ann}/unmerge", {"identifiers": [email]}, 422),
        (f"{ann}/unmerge", {"identifiers": [{"type": "email", "value": "?"}], **WHY}, 422),
        (f"{ann}/unmerge", {"identifiers": [{"type": "email", "value": "b@x.io"}], **WHY}, 422),
        (f"{ann}/unmerge",
         {"identifiers": [email, {"type": "user_id", "value": "ann"}], **WHY}, 409),
        (f"{ann}/merge", {"with": ann, **WHY}, 409),
        (f"{ann}/merge", {"with": "nobody", **WHY}, 404),
        (f"{one}/merge", {"with": other, **WHY}, 409),
    ]:  # fmt: skip
        problem = await post(api, f"/v1/profiles/{path}", body, status)
        assert problem["detail"]
    assert (await api.get("/v1/identity/decisions/d_x")).status_code == 404
    refused = await api.post(f"/v1/profiles/{ann}/merge", json={}, headers=READER)
    assert refused.status_code == 403


HOME = {"traits": {"email": "home@x.io"}}


def named(user_id: str, seconds: float, **traits: Any) -> Event:
    return event(f"{user_id}{seconds}", seconds, "identify", user_id=user_id, traits=traits)


async def test_the_likeliest_come_first_with_what_compares(api, spine):
    born = {"firstName": "Cyd", "lastName": "Quill", "birthday": "1980-02-29"}
    mail = {"traits": {"email": "cyd@x.io"}}
    await spine.happened(
        named("ann", 1, firstName="Ann", lastName="Abel"),
        named("bob", 2, firstName="Bob", lastName="Baker"),
        event("h1", 3, event="Cart Viewed", user_id="ann", context=HOME),
        event("h2", 4, event="Cart Viewed", user_id="bob", context=HOME),
        named("cyd", 5, **born),
        named("dan", 6, **born | {"lastName": "Quil"}),
        event("c1", 7, event="Cart Viewed", user_id="cyd", context=mail),
        event("c2", 8, event="Cart Viewed", user_id="dan", context=mail),
        named("eve", 9, **born | {"firstName": "Eve"}),
        named("fay", 10, **born | {"firstName": "Eve"}),
    )
    names = ("ann", "bob", "cyd", "dan", "eve", "fay")
    ids = {name: (await person(api, f"user_id/{name}"))["profile_id"] for name in names}

    def who(items: list[Any]) -> list[set[str]]:
        by_id = {id_: name for name, id_ in ids.items()}
        return [{by_id[each["profile_id"]] for each in one["people"]} for one in items]

    first = await get(api, "/v1/identity/suggestions?limit=1")
    rest = await get(api, f"/v1/identity/suggestions?limit=1&cursor={first['next']}")
    assert who(first["items"] + rest["items"]) == [{"cyd", "dan"}, {"ann", "bob"}]
    assert rest["next"] is None
    (found,) = first["items"]
    shapes.Suggestion.model_validate(found)
    levels = {each["field"]: (each["level"], set(each["values"])) for each in found["compared"]}
    assert levels == {
        "email": ("same", {"cyd@x.io"}), "given": ("same", {"cyd"}),
        "family": ("close", {"quill", "quil"}), "birthday": ("same", {"19800229"}),
    }  # fmt: skip
    assert found["score"] == round(sum(each["bits"] for each in found["compared"]), 3)
    assert found["likely"]
    assert await get(api, f"/v1/identity/suggestions/{found['suggestion_id']}") == found

    # Whom no message named together is put in the queue by who found them alike.
    pairs = [[ids["fay"], ids["eve"]], [ids["eve"], ids["eve"]], [ids["ann"], "nobody"]]
    queued = await post(api, "/v1/identity/suggestions", {"pairs": pairs})
    assert queued == {"queued": 1}
    told = (await get(api, "/v1/identity/suggestions"))["items"]
    assert {"eve", "fay"} in who(told)
    (put,) = [one for one in told if one["found_at"] is not None]
    assert (put["evidence"], put["likely"]) == ([], True)
    path = f"/v1/identity/suggestions/{put['suggestion_id']}"
    tried = await post(api, f"{path}?preview=true", {"verdict": "reject", "reason": "Sisters."})
    assert (tried["kind"], tried["before"], tried["moved"]) == ("split", [], 0)
    await post(api, path, {"verdict": "reject", "reason": "Sisters."})
    assert {"eve", "fay"} not in who((await get(api, "/v1/identity/suggestions"))["items"])
    assert (await api.get(path)).status_code == 404
    said = {"pairs": pairs, "crowded": 7}
    assert await post(api, "/v1/identity/suggestions", said) == {"queued": 0}
    left_out = (await get(api, "/v1/identity/suggestions"))["left_out"]
    assert (left_out["crowded"], left_out["overnamed"]) == (7, 0)
    assert left_out["searched_at"] is not None
    for call in (path, "/v1/identity/suggestions"):
        refused = await api.post(call, json={}, headers=READER)
        assert refused.status_code == 403
    assert (await api.get("/v1/identity/suggestions", headers=READER)).status_code == 200


VIEWED = {"event": "Cart Viewed", "op": "gte", "value": 2}
SEGMENTS = {
    "one-order": {"fact": "order_count", "op": "equals", "value": 1},
    "late": VIEWED | {"value": 7},
    "two-orders": {"fact": "order_count", "op": "gte", "value": 2},
    "viewers": VIEWED,
}


async def test_a_preview_tells_which_segments_would_change(api, spine, settings):
    await spine.happened(
        bought("o1", 1, "o1", "10", user_id="ann", context=HOME),
        bought("o2", 2, "o2", "20", user_id="bob"),
        event("c1", 3, event="Cart Viewed", user_id="ann"),
        event("c2", 4, event="Cart Viewed", user_id="bob", context=HOME),
    )
    ann, bob = [(await person(api, f"user_id/{name}"))["profile_id"] for name in ("ann", "bob")]
    parsed = {key: parse({"name": key.upper(), "rule": rule}) for key, rule in SEGMENTS.items()}
    known = {"mongo_url": settings.mongo_url, "kafka_url": settings.kafka_url}
    segmentation = create_segmentation(
        SegmentationSettings(**known, namespace=settings.namespace, tokens=settings.tokens)
    )
    async with segmentation.router.lifespan_context(segmentation):
        database = spine.client[settings.database("segmentation")]
        for key, segment in parsed.items():
            body = encode(dump(segment))
            stored = Stored(key=key, version=1, body=body, at=0, published=True)
            await segmentation.state.desk.catalogue.put(stored)
        one = Membership(segment="one-order", since=0, occurrence=1, definition=1)
        people = [Standing(profile_id=id_, version=1, members={"one-order": one})
                  for id_ in (ann, bob)]  # fmt: skip
        heard = {"s/0": {"late": Heard(version=1, waits=("ct_1",))}}
        async with await spine.client.start_session() as session, transaction(session):
            writes = [Write(each, 0, {"version", "members"}) for each in people]
            await People(database).save(session, Saved(writes, heard=heard))
        await database["partitions"].update_many({}, {"$set": {"done": True}})

        stored = await segmentation.state.desk.catalogue.get("viewers")
        ((key, trait),) = traits_of(stored.segment().rule).items()
        said = {"kind": "computed_trait", "name": key, "version": 1, "body": body_of(trait)}

        async def told() -> Traits:
            return declared_traits([Definition(**said, updated_at=VISITED[0].timestamp)])

        transport = httpx.ASGITransport(segmentation)
        api.app.state.forecast = Forecast(told, "http://segmentation", transport)
        path = f"/v1/profiles/{ann}/merge?preview=true"
        tried = await post(api, path, {"with": bob, "reason": "x"})
        shapes.Preview.model_validate(tried)
        (both,) = [each["profile_id"] for each in tried["after"]]
        found = {each["segment"]: (each["before"], each["after"]) for each in tried["segments"]}
        assert found == {
            "one-order": (sorted((ann, bob)), []),
            "two-orders": ([], [both]),
            "viewers": ([], [both]),
        }
        assert tried["summary"].endswith(" of 4 interactions move; 3 segments change.")
        assert "LATE" in tried["segments_note"]
        assert await segmentation.state.desk.members.person(ann) == people[0]
    await spine.client.drop_database(database.name)
