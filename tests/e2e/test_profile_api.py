"""The profile API on a real MongoDB, behind resolve and build: what a client sees of people."""

import re
from collections.abc import AsyncIterator
from typing import Any, get_args

import httpx
import msgspec
import pytest
import pytest_asyncio
from prometheus_client import REGISTRY

from schemas.messages import Aggregate
from services.profile import answers
from services.profile.api import create_app
from services.profile.build.readiness import Ready
from services.profile.build.rules.computed import digest_of
from services.profile.build.rules.declared import computed_traits
from services.profile.computed.catalogue import Catalogue
from services.profile.computed.store import DefinitionStore
from services.profile.identity import shapes
from services.profile.reading import BY_ID, BY_NAME, READS
from services.profile.settings import ProfileSettings
from services.runtime.hot import Asked
from services.runtime.http import Page
from services.runtime.turn import Source
from tests.people import at
from tests.spine import Sent, Spine, event, opened, settings_of

pytestmark = pytest.mark.broker


SHOWN = event(
    "m1", 1, event="Product Viewed", anonymous_id="phone", properties={"sku": "s", "n": 1.50}
)
ORDERED = event(
    "m2", 2, event="Order Completed", user_id="u/1", anonymous_id="tablet",
    properties={"order_id": "o1", "revenue": "12.5", "products": [{"sku": "s", "price": 12.5}]},
)  # fmt: skip
LINKED = event(
    "m3", 3, "identify", user_id="u/1", anonymous_id="phone",
    traits={"email": "Ann@Example.com", "name": "Ann"},
    context={"consent": {"categoryPreferences": {"email_marketing": True}}},
)  # fmt: skip
OTHER = event("m4", 9, event="Product Viewed", anonymous_id="somebody")


@pytest.fixture
def settings(stack: Any) -> ProfileSettings:
    return settings_of(stack)


@pytest_asyncio.fixture
async def spine(settings: ProfileSettings) -> AsyncIterator[Spine]:
    async with opened(settings) as spine:
        yield spine


@pytest.fixture
def sent() -> Sent:
    return Sent()


@pytest.fixture
def catalogue(spine: Spine, sent: Sent) -> Catalogue:
    return Catalogue(DefinitionStore(spine.database), sent)


@pytest_asyncio.fixture
async def api(settings: ProfileSettings, catalogue: Catalogue) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(settings)
    app.state.catalogue = catalogue
    transport = httpx.ASGITransport(app)
    headers = {"Authorization": "Bearer reader"}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://profile", headers=headers
    ) as client:
        yield client
    app.state.client.close()


async def get(api: httpx.AsyncClient, path: str, **query: Any) -> Any:
    response = await api.get(path, params=query)
    assert response.status_code == 200, response.text
    return response.json()


async def ann(api: httpx.AsyncClient, spine: Spine) -> dict[str, Any]:
    """One person whose two profiles have been merged, as the API shows her."""
    await spine.happened(SHOWN, ORDERED, LINKED)
    return await get(api, "/v1/profiles/by/user_id/u/1")


async def test_a_person_is_shown_whole_after_a_merge(api, spine):
    shown = await ann(api, spine)
    answers.Profile.model_validate(shown, strict=False)
    assert shown["traits"] == {"email": "Ann@Example.com", "name": "Ann"}
    assert shown["identifiers"] == [
        {"type": "anonymous_id", "value": "phone"},
        {"type": "anonymous_id", "value": "tablet"},
        {"type": "email", "value": "ann@example.com"},
        {"type": "user_id", "value": "u/1"},
    ]
    assert shown["counters"] == {"Identify": 1, "Order Completed": 1, "Product Viewed": 1}
    assert shown["revenue"] == [{"amount": "12.50", "currency": "USD"}]
    assert shown["orders"][0]["products"][0] == {
        "product_id": "s", "price": "12.50",
    }  # fmt: skip
    assert shown["last_seen"] == "2026-03-01T12:00:03Z"
    assert len(shown["merged_from"]) == 1
    assert set(shown) == set(answers.Profile.model_fields)


def counted(route: str) -> float:
    """Answers with 200 so far."""
    labels = {"service": "profile", "route": route, "status": "200"}
    return REGISTRY.get_sample_value("regulars_http_requests_total", labels) or 0


async def test_a_read_from_the_socket_is_answered_as_by_its_route(api, spine, settings):
    shown = await ann(api, spine)
    app = create_app(settings)
    hot = app.state.server.keywords["hot"]
    reads = re.compile(hot.reads)
    before = {route: counted(route) for route in (BY_ID, BY_NAME)}
    for path, status in {
        f"/v1/profiles/{shown['merged_from'][0]}": 200,
        f"/v1/profiles/{shown['profile_id']}": 200,
        "/v1/profiles/by/email/ANN%40example.COM": 200,
        "/v1/profiles/by/email/ann%2Bnews@example.com": 404,
        "/v1/profiles/by/user_id/u/1": 200,
        "/v1/profiles/by/anonymous_id/phone": 200,
        "/v1/profiles/by/anonymous_id/nobody": 404,
        "/v1/profiles/nobody": 404,
    }.items():
        assert reads.fullmatch(path.encode())
        reply = await hot.answer(Asked(path, "Bearer reader", "", b""))
        route = await api.get(path)
        assert (reply.status, reply.body) == (route.status_code, route.content)
        assert (status, dict(reply.headers)[b"content-type"]) == (
            reply.status, route.headers["content-type"].encode())  # fmt: skip
    # As many from the socket as by their routes.
    assert (counted(BY_ID) - before[BY_ID], counted(BY_NAME) - before[BY_NAME]) == (4, 6)
    for authorization in ("", "Bearer other", "Basic reader", "Bearer"):
        assert await hot.answer(Asked("/v1/profiles/p1", authorization, "", b"")) is None
    app.state.client.close()


@pytest.mark.parametrize(
    "path",
    [
        "/v1/profiles",
        "/v1/profiles/",
        "/v1/profiles/export",
        "/v1/profiles/p1?at=2026-03-01T12:00:00Z",
        "/v1/profiles/p1/interactions",
        "/v1/profiles/p%31",
        "/v1/profiles/" + "p" * 201,
        "/v1/profiles/by/email/",
        "/v1/profiles/by/email/a%3Fb",
        "/v1/profiles/by/e%2Fmail/a",
        "/v1/profiles/by/user_id/" + "u" * 513,
        "/v1/profiles/by/" + "t" * 61 + "/u",
    ],
)
def test_what_else_may_be_asked_for_is_left_to_its_route(path: str) -> None:
    assert not re.fullmatch(READS, path.encode())


async def test_a_former_id_and_every_identifier_lead_to_the_survivor(api, spine):
    shown = await ann(api, spine)
    for path in (
        f"/v1/profiles/{shown['merged_from'][0]}",
        f"/v1/profiles/{shown['profile_id']}",
        "/v1/profiles/by/email/ANN@example.COM",
        "/v1/profiles/by/anonymous_id/phone",
    ):
        assert await get(api, path) == shown


async def test_many_are_shown_at_once_each_under_the_id_that_was_asked_for(api, spine):
    shown = await ann(api, spine)
    await spine.happened(OTHER)
    other = await get(api, "/v1/profiles/by/anonymous_id/somebody")
    former, now = shown["merged_from"][0], shown["profile_id"]
    ids = [former, other["profile_id"], "nobody", now, former, "\x00"]
    response = await api.post("/v1/profiles/batch", json={"profile_ids": ids})
    assert response.json() == {"profiles": {former: shown, now: shown, other["profile_id"]: other}}
    answers.Batch.model_validate(response.json(), strict=False)


async def test_a_merge_that_only_resolve_has_made_yet_leads_to_the_survivor_too(api, spine):
    await spine.happened(OTHER)
    other = await get(api, "/v1/profiles/by/anonymous_id/somebody")
    await spine.database["people"].insert_one(
        {"_id": "fresh", "profile_id": "fresh", "into": other["profile_id"]}
    )
    response = await api.post("/v1/profiles/batch", json={"profile_ids": ["fresh"]})
    assert response.json() == {"profiles": {"fresh": other}}
    assert await get(api, "/v1/profiles/fresh") == other


@pytest.mark.parametrize(
    "body",
    [
        {"profile_ids": []},
        {"profile_ids": ["p"] * 501},
        {"profile_ids": ["p" * 201]},
        {"profile_ids": [""]},
        {"profile_ids": [7]},
        {"profile_ids": "p"},
        {"profile_ids": ["p"], "fields": ["traits"]},
        {},
        [],
    ],
)
async def test_a_batch_that_does_not_fit_is_refused(api, body):
    response = await api.post("/v1/profiles/batch", json=body)
    assert response.status_code == 422
    surrogate = await api.post("/v1/profiles/batch", content=rb'{"profile_ids": ["\ud800"]}')
    assert surrogate.status_code == 422


async def test_the_timeline_spans_former_profiles_newest_first_in_pages(api, spine):
    shown = await ann(api, spine)
    path = f"/v1/profiles/{shown['merged_from'][0]}/interactions"
    first = await get(api, path, limit=2)
    second = await get(api, path, limit=2, cursor=first["next"])
    Page[answers.Interaction].model_validate(first)
    seen = [item["name"] for item in first["items"] + second["items"]]
    assert (seen, second["next"]) == (["Identify", "Order Completed", "Product Viewed"], None)
    assert second["items"][0]["event"]["properties"] == {"product_id": "s", "sku": "s", "n": 1.5}
    assert set(first["items"][0]) == set(answers.Interaction.model_fields)


async def test_why_it_is_one_person_is_told_with_the_evidence(api, spine):
    shown = await ann(api, spine)
    told = await get(api, f"/v1/profiles/{shown['profile_id']}/identity")
    shapes.Identity.model_validate(told)
    for part, by in {
        "identifiers": {"u/1": "m2", "ann@example.com": "m3"},
        "devices": {"phone": "m3", "tablet": "m2"},
    }.items():
        assert {item["value"]: item["message_id"] for item in told[part]} == by
    assert (told["refusals"], told["splits"]) == ([], [])
    (merge,) = told["merges"]
    assert (merge["into"], merge["message_id"]) == (shown["profile_id"], "m3")
    assert merge["profile_id"] == shown["merged_from"][0]
    assert merge["evidence"]["type"] in ("anonymous_id", "user_id")
    assert merge["explanation"] == "One event named identifiers of both."


async def test_consent_answers_yes_no_and_why(api, spine):
    shown = await ann(api, spine)
    path = f"/v1/profiles/{shown['profile_id']}/consent"
    said = await get(api, f"{path}/email")
    assert said.pop("statement")["statement_id"] == "m3"
    assert said == {
        "profile_id": shown["profile_id"], "channel": "email", "purpose": "marketing",
        "allowed": True, "state": "granted", "since": "2026-03-01T12:00:03Z",
        "reason": "consent_granted",
    }  # fmt: skip
    told = await get(api, f"{path}/sms")
    assert (told["allowed"], told["reason"]) == (False, "no_consent_recorded")
    await spine.happened(event("m9", 20, event="Unsubscribed", user_id="u/1"))
    told = await get(api, f"{path}/email")
    assert (told["allowed"], told["state"]) == (False, "withdrawn")


async def test_the_list_shows_survivors_only_and_is_searched_without_case(api, spine):
    shown = await ann(api, spine)
    await spine.happened(event("m4", 69, event="Product Viewed", anonymous_id="somebody"))
    first = await get(api, "/v1/profiles", limit=1)
    second = await get(api, "/v1/profiles", limit=1, cursor=first["next"])
    Page[answers.Profile].model_validate(second)
    assert second["items"] == [shown]
    assert (first["items"][0]["last_seen"], second["next"]) == ("2026-03-01T12:01:09Z", None)
    for query in ("ANN", "ann@ex", "U/1"):
        assert (await get(api, "/v1/profiles", query=query))["items"] == [shown]
    assert (await get(api, "/v1/profiles", query="x"))["items"] == []


async def test_within_a_page_whoever_was_seen_last_comes_first_to_the_second(api, spine):
    seconds = (7, 31, 2, 59, 18)
    await spine.happened(
        *(event(f"m{n}", n, event="Product Viewed", anonymous_id=f"a{n}") for n in seconds)
    )
    items = (await get(api, "/v1/profiles"))["items"]
    assert [item["last_seen"][-3:-1] for item in items] == ["59", "31", "18", "07", "02"]


async def test_what_does_not_exist_or_fit_is_a_problem(api):
    for path, status in {
        "/v1/profiles/nobody": 404,
        "/v1/profiles/nobody/interactions": 404,
        "/v1/profiles/nobody/identity": 404,
        "/v1/profiles/nobody/consent/email": 404,
        "/v1/profiles/nobody/consent/fax": 422,
        "/v1/profiles/by/email/x": 404,
        "/v1/profiles/by/shoe_size/42": 404,
        "/v1/profiles?cursor=rubbish": 400,
        "/v1/profiles?limit=0": 422,
        "/v1/profiles/%00%ff": 404,
        "/v1/computed-traits/nothing": 404,
    }.items():
        response = await api.get(path)
        assert (path, response.status_code) == (path, status)
        assert response.headers["content-type"] == "application/problem+json"


async def test_without_a_token_nothing_is_told(api):
    assert (await api.get("/v1/profiles", headers={"Authorization": ""})).status_code == 401
    assert (await api.get("/v1/computed-traits", headers={"Authorization": ""})).status_code == 401


VIEWS = {
    "event": "Product Viewed",
    "where": [{"property": "category", "op": "equals", "value": "shoes"}],
    "window_seconds": 604_800,
}


async def put(api: httpx.AsyncClient, key: str, body: Any, role: str = "marketer") -> Any:
    headers = {"Authorization": f"Bearer {role}"}
    return await api.put(f"/v1/computed-traits/{key}", json=body, headers=headers)


async def test_a_computed_trait_is_stored_and_told_to_the_workers_once_a_version(api, sent):
    first = (await put(api, "shoe_views", VIEWS)).json()
    assert (first["version"], first["published"]) == (1, True)
    assert await get(api, "/v1/computed-traits/shoe_views") == first
    changed = (await put(api, "shoe_views", VIEWS | {"window_seconds": 60})).json()
    assert changed["version"] == 2
    assert (await put(api, "shoe_views", VIEWS | {"window_seconds": 60})).json() == changed
    assert (await get(api, "/v1/computed-traits"))["items"] == [changed]
    told = [msgspec.json.decode(message.value) for message in sent]
    assert [(message.key, message.type) for message in sent] == [
        ("computed_trait/shoe_views", "regulars.definition.changed.v1")
    ] * 3
    assert [one["version"] for one in told] == [1, 2, 2]
    assert told[0]["body"] == VIEWS


async def test_a_trait_that_cannot_be_told_now_is_kept_and_told_later(api, catalogue, sent):
    sent.fails = True
    answer = (await put(api, "views", VIEWS)).json()
    assert (answer["version"], answer["published"]) == (1, False)
    assert (await get(api, "/v1/computed-traits/views"))["published"] is False
    sent.fails = False
    await catalogue.tell_unpublished()
    await catalogue.tell_unpublished()
    assert [message.id for message in sent] == ["computed_trait/views/1"]
    assert (await get(api, "/v1/computed-traits/views"))["published"] is True


async def test_a_definition_that_makes_no_sense_is_refused_with_the_place(api, sent):
    for change in (
        {"aggregate": "sum"},
        {"property": "price"},
        {"event": ""},
        {"window_seconds": 0},
        {"surprise": 1},
        {"where": [{"property": "a", "op": "gt", "value": "much"}]},
        {"where": [{"property": "a", "op": "gt", "value": True}]},
        {"where": [{"property": "a", "op": "gt", "value": 10**400}]},
        {"where": [{"property": "a", "op": "like", "value": "x"}]},
        {"where": [{"property": "a", "op": "contains"}]},
        {"where": [{"property": "a", "op": "equals"}]},
        {"where": [{"property": "a", "op": "equals", "value": ["x"]}]},
        {"where": [{"property": "a", "op": "in", "value": []}]},
        {"where": [{"property": "a", "op": "in", "value": "x"}]},
        {"where": [{"property": "a", "op": "between", "value": [1, "x"]}]},
        {"where": [{"property": "a", "op": "between", "value": [1]}]},
        {"where": [{"property": "a", "op": "before", "value": "soon"}]},
        {"aggregate": "unique_list"},
        {"aggregate": "median", "property": "price"},
    ):
        response = await put(api, "views", VIEWS | change)
        assert (change, response.status_code) == (change, 422)
        assert response.json()["errors"][0]["at"].startswith("body")
    assert sent == []


async def test_a_trait_says_how_many_have_it_until_it_is_ready(api, spine, catalogue):
    await spine.happened(SHOWN, OTHER)
    shown = (await put(api, "views", VIEWS)).json()
    assert (shown["state"], shown["ready_since"]) == ("computing", None)
    assert shown["profiles"] == {"done": 0, "of": 2}
    spine.current = {("computed_trait", one.name): one for one in await catalogue.store.all()}
    spine.revision += 1
    await spine.build.assigned([Source("x/profile.interactions/0", "profile.interactions", 0)])
    await spine.happened(msgspec.structs.replace(OTHER, message_id="m5"))
    shown = await get(api, "/v1/computed-traits/views")
    assert (shown["state"], shown["profiles"]) == ("computing", {"done": 0, "of": 2})
    profiles, sweeps = spine.database["profiles"], spine.database["sweeps"]
    first = await profiles.find_one({}, sort=[("_id", 1)])
    await profiles.update_many({}, {"$set": {"p": 0}})
    await sweeps.update_one({}, {"$set": {"cursor": first["_id"]}})
    shown = await get(api, "/v1/computed-traits/views")
    assert (shown["state"], shown["profiles"]) == ("computing", {"done": 1, "of": 2})
    digests = {"views": digest_of(computed_traits(spine.current.values())["views"])}
    await sweeps.update_one({}, {"$set": {"fingerprint": "another", "has": digests}})
    assert (await get(api, "/v1/computed-traits/views"))["profiles"] == {"done": 2, "of": 2}
    told = computed_traits(spine.current.values())["views"]
    await spine.profiles.mark_ready(Ready("views", digest_of(told), at(5)))
    (shown,) = (await get(api, "/v1/computed-traits"))["items"]
    assert (shown["state"], shown["profiles"]) == ("ready", None)
    assert shown["ready_since"] == "2026-03-01T12:00:05Z"
    assert (await put(api, "views", VIEWS | {"window_seconds": 9})).json()["state"] == "computing"


async def test_a_deleted_trait_is_gone_for_everyone_and_its_versions_go_on(api, catalogue, sent):
    await put(api, "views", VIEWS)
    marketer = {"Authorization": "Bearer marketer"}
    assert (await api.delete("/v1/computed-traits/views")).status_code == 403
    response = await api.delete("/v1/computed-traits/views", headers=marketer)
    assert (response.status_code, response.content) == (204, b"")
    assert [(message.key, message.value is None) for message in sent] == [
        ("computed_trait/views", False),
        ("computed_trait/views", True),
    ]
    assert (await get(api, "/v1/computed-traits"))["items"] == []
    assert (await api.get("/v1/computed-traits/views")).status_code == 404
    assert (await api.delete("/v1/computed-traits/views", headers=marketer)).status_code == 404
    assert (await put(api, "views", VIEWS)).json()["version"] == 3
    sent.fails = True
    response = await api.delete("/v1/computed-traits/views", headers=marketer)
    assert response.status_code == 503
    sent.fails = False
    await catalogue.tell_unpublished()
    assert sent[-1].value is None


async def test_every_aggregate_is_shown_on_the_profile_as_documented(api, spine, catalogue):
    for aggregate in get_args(Aggregate):
        for window in (None, 60):
            of = {} if aggregate == "count" else {"property": "n"}
            body = {"event": "Product Viewed", "aggregate": aggregate, **of}
            if window:
                body["window_seconds"] = window
            assert (await put(api, f"{aggregate}_{window}".lower(), body)).status_code == 200
    spine.current = {("computed_trait", one.name): one for one in await catalogue.store.all()}
    spine.revision += 1
    await spine.happened(SHOWN)
    shown = await get(api, "/v1/profiles/by/anonymous_id/phone")
    answers.Profile.model_validate(shown)
    whole = {key: value for key, value in shown["computed"].items() if key.endswith("_none")}
    assert whole == {
        "count_none": {"count": 1},
        "sum_none": {"sums": {"": "1.50"}},
        "average_none": {"amounts": {"": "1.50"}},
        "min_none": {"amounts": {"": "1.50"}},
        "max_none": {"amounts": {"": "1.50"}},
        "first_none": {"value": 1.5, "at": "2026-03-01T12:00:01Z"},
        "last_none": {"value": 1.5, "at": "2026-03-01T12:00:01Z"},
        "most_frequent_none": {"value": 1.5, "count": 1},
        "unique_list_none": {"items": [1.5]},
        "unique_count_none": {"count": 1},
    }
    assert shown["computed"]["max_60"] == {"times": [1772366401000], "values": ["1.50"]}
    assert shown["computed"]["last_60"] == {"times": [1772366401000], "items": [1.5]}


async def test_only_marketers_declare_traits_and_never_under_a_segments_key(api):
    assert (await put(api, "views", VIEWS, role="reader")).status_code == 403
    assert (await put(api, "views", VIEWS, role="support")).status_code == 403
    assert (await put(api, "views", VIEWS, role="admin")).status_code == 200
    assert (await put(api, "ct_1234", VIEWS)).status_code == 409
    assert (await put(api, "Bad Key", VIEWS)).status_code == 422
