"""The HTTP API of profile: who somebody is, what is known of them, and may we write."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from functools import partial
from typing import Annotated

import msgspec
from fastapi import APIRouter, FastAPI, Path, Query, Request, Response

from services.profile import answers
from services.profile.build.rules.consent import Policy
from services.profile.build.store import ProfileStore
from services.profile.commerce import routes as commerce
from services.profile.commerce.routes import RateDesk
from services.profile.commerce.store import RatesStore
from services.profile.computed import routes as computed
from services.profile.computed.catalogue import Catalogue
from services.profile.computed.store import DefinitionStore
from services.profile.consent import routes as consent
from services.profile.consent.desk import Desk
from services.profile.consent.store import ConsentStore
from services.profile.feed import export
from services.profile.feed import routes as feed
from services.profile.feed.office import Office
from services.profile.feed.snapshot import Stored
from services.profile.feed.subscriptions import Subscriptions
from services.profile.identity import routes as identity
from services.profile.identity.desk import Desk as Deciding
from services.profile.identity.forecast import Forecast
from services.profile.identity.found import FoundPairs
from services.profile.identity.scoring import Scorer
from services.profile.identity.suggestions import Suggestions
from services.profile.people import People
from services.profile.reading import Reading
from services.profile.render import interaction, profile
from services.profile.resolve.store import IdentityStore
from services.profile.settings import ProfileSettings
from services.profile.traits import history, sources
from services.profile.traits.declared import Declared
from services.profile.traits.history import profile_at
from services.profile.traits.past import Past
from services.runtime.express import Server
from services.runtime.http import Page, create_api, decode_cursor, encode_cursor, require
from services.runtime.mongo import connect, settled, silent
from services.runtime.publish import Publisher

ProfileId = Annotated[str, Path(max_length=200, description="A profile id; a former one will do.")]
Limit = Annotated[int, Query(ge=1, le=200, description="How many, at most.")]
Cursor = Annotated[str | None, Query(max_length=2_000, description="`next` of the page before.")]
At = Annotated[answers.Instant | None, Query(description="A past instant; missing: now.")]
Position = tuple[datetime, str]

_encode = msgspec.json.Encoder(order="deterministic").encode


def create_app(settings: ProfileSettings | None = None) -> FastAPI:
    """The API, which reads the database that both stages write."""
    settings = settings or ProfileSettings()
    client = connect(settings)
    database = settled(client, settings.database("profile"))
    publisher = Publisher(settings, "profile-api")
    definitions = DefinitionStore(database)
    catalogue = Catalogue(definitions, publisher)
    trait_sources = Catalogue(DefinitionStore(database, "trait"), publisher)
    stored_rates = RatesStore(database)
    rates = Catalogue(stored_rates, publisher)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        told = (catalogue, trait_sources, rates)
        telling = asyncio.gather(*(one.keep_telling() for one in told))
        try:
            yield
        finally:
            telling.cancel()
            with suppress(asyncio.CancelledError):
                await telling
            await forecast.close()
            await publisher.stop()
            client.close()

    async def ready() -> str | None:
        return await silent(client)

    app = create_api(
        name="profile",
        summary="Who somebody is, what is known of them, and whether we may write to them.",
        settings=settings,
        lifespan=lifespan,
        ready=ready,
    )
    policy = Policy.of(settings.profile_confirmed_consent)
    identities = IdentityStore(database)
    app.state.people = People(ProfileStore(database), identities, policy)
    app.state.identity = Deciding(identities, publisher)
    app.state.suggestions = Suggestions(
        identities, app.state.identity, Scorer(app.state.people.profiles), FoundPairs(database)
    )
    app.state.consent = Desk(ConsentStore(database), app.state.people, publisher, policy)
    app.state.catalogue = catalogue
    app.state.trait_sources = trait_sources
    declared = Declared(settings)
    app.state.past = Past(app.state.people.identities, declared)
    forecast = app.state.forecast = Forecast(declared, settings.profile_segmentation_url)
    app.state.feed = Office(settings, Subscriptions(database))
    app.state.rates = RateDesk(stored_rates, rates, settings.base_currency)
    app.state.client = client
    app.include_router(export.routes(Stored(database, policy)))
    app.include_router(_profiles())
    app.include_router(_persons())
    app.include_router(computed.routes(ProfileStore(database)))
    app.include_router(consent.routes())
    app.include_router(sources.routes())
    app.include_router(history.routes())
    app.include_router(feed.routes())
    app.include_router(identity.routes())
    app.include_router(commerce.routes())
    app.state.server = partial(Server, app, hot=Reading(app.state.people, app.state.tokens).hot)
    return app


def _profiles() -> APIRouter:
    router = APIRouter(prefix="/v1/profiles", tags=["profiles"], dependencies=[require("reader")])

    @router.get("", summary="Find people", response_model=Page[answers.Profile])
    async def list_profiles(
        request: Request,
        query: Annotated[
            str, Query(max_length=200, description="What an email, user id or name begins with.")
        ] = "",
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> Response:
        """Those who were seen last come first."""
        after = None if cursor is None else decode_cursor(cursor, Position)
        people: People = request.app.state.people
        # To the minute; within a page exactly.
        found = await people.profiles.listed(query.strip().lower(), limit + 1, after)
        shown = found[:limit]
        last = (shown[-1][2], shown[-1][0]) if len(found) > limit else None
        shown.sort(key=lambda each: each[1].state.last_seen or each[2], reverse=True)
        return _page([profile(id_, kept, people.policy) for id_, kept, _ in shown], last)

    @router.post("/batch", summary="Many people at once", response_model=answers.Batch)
    async def show_profiles(request: Request, asked: answers.BatchBody) -> Response:
        """As they are now. A former id answers with the profile that absorbed it."""
        people: People = request.app.state.people
        found = await people.known(asked.profile_ids)
        shown = {id_: profile(id_, kept, people.policy) for id_, kept in found.values()}
        return _json({"profiles": {former: shown[id_] for former, (id_, _) in found.items()}})

    @router.get(
        "/by/{type}/{value:path}",
        summary="The person with an identifier",
        response_model=answers.Profile,
    )
    async def profile_by(
        request: Request,
        type: Annotated[str, Path(max_length=60, description="Such as `email` or `user_id`.")],
        value: Annotated[str, Path(max_length=512)],
    ) -> Response:
        """An email address is found in any spelling of its case, a phone number with its
        country in any punctuation. A shop's or a chat tool's own id is `<source>/<id>`."""
        people: People = request.app.state.people
        return _answer(await people.told_by(type, value))

    @router.get("/{profile_id}", summary="One person", response_model=answers.Profile)
    async def show_profile(request: Request, profile_id: ProfileId, at: At = None) -> Response:
        """A former id answers with the profile that absorbed it.

        With `at`, as of that instant by event time: what is known today of all that happened
        until then, also under ids that were found to be theirs later. For up to 20,000
        interactions.
        """
        if at is not None:
            return _json(await profile_at(request, profile_id, at))
        people: People = request.app.state.people
        return _answer(await people.told(profile_id))

    return router


def _persons() -> APIRouter:
    router = APIRouter(
        prefix="/v1/profiles/{profile_id}", tags=["profiles"], dependencies=[require("reader")]
    )

    @router.get(
        "/interactions",
        summary="The timeline, newest first",
        response_model=Page[answers.Interaction],
    )
    async def list_interactions(
        request: Request, profile_id: ProfileId, limit: Limit = 50, cursor: Cursor = None
    ) -> Response:
        """What happened under former ids is part of it."""
        after = None if cursor is None else decode_cursor(cursor, Position)
        people: People = request.app.state.people
        person = await people.person(profile_id)
        found = await people.identities.page(person.profile_ids, limit + 1, after)
        shown = found[:limit]
        last = (shown[-1].at, shown[-1].interaction_id) if len(found) > limit else None
        ids = person.profile_ids
        return _page([interaction(entry.body, ids) for entry in shown], last)

    return router


def _page(items: list[object], last: Position | None) -> Response:
    return _json({"items": items, "next": None if last is None else encode_cursor(last)})


def _json(answer: object) -> Response:
    return _answer(_encode(answer))


def _answer(text: bytes) -> Response:
    return Response(text, media_type="application/json")
