"""The routes of computed traits.

Segmentation declares the ones that its rules need by itself, under keys that begin with
``ct_``; these routes are for traits that somebody wants to see on every profile.
"""

from typing import Annotated

from fastapi import APIRouter, Path, Request

from services.profile.build.sweep_store import SweepStore
from services.profile.computed.catalogue import Catalogue
from services.profile.computed.checks import check
from services.profile.computed.shapes import ComputedTraitBody, ComputedTraitDefinition
from services.profile.computed.standing import Standings
from services.runtime.http import Page, Problem, require

Key = Annotated[str, Path(pattern="^[a-z0-9][a-z0-9_-]{0,63}$", examples=["orders_30d"])]


def routes(sweeps: SweepStore) -> APIRouter:
    """GET for every role, PUT and DELETE for marketers."""
    router = APIRouter(prefix="/v1/computed-traits", tags=["computed traits"])
    standings = Standings(sweeps)

    @router.get("", summary="Every declared computed trait", dependencies=[require("reader")])
    async def list_traits(request: Request) -> Page[ComputedTraitDefinition]:
        store = _catalogue(request).store
        waiting = {one.definition.name for one in await store.unpublished()}
        return Page(
            items=[
                await standings.answer(definition, published=definition.name not in waiting)
                for definition in await store.all()
            ]
        )

    @router.get("/{key}", summary="One computed trait", dependencies=[require("reader")])
    async def show_trait(request: Request, key: Key) -> ComputedTraitDefinition:
        store = _catalogue(request).store
        definition = await store.get(key)
        if definition is None:
            raise _unknown()
        waiting = {one.definition.name for one in await store.unpublished()}
        return await standings.answer(definition, published=key not in waiting)

    @router.put("/{key}", summary="Declare it", dependencies=[require("marketer")])
    async def put_trait(
        request: Request, key: Key, body: ComputedTraitBody
    ) -> ComputedTraitDefinition:
        """Profiles get it one by one, those that something happens to at once.

        The same definition again changes nothing. With `published` false it is stored and
        will be told to the workers once Kafka can be reached.
        """
        if key.startswith("ct_"):
            raise Problem(409, "Reserved", "Keys that begin with ct_ belong to segments.")
        check(body)
        definition, published = await _catalogue(request).put(key, body)
        return await standings.answer(definition, published=published)

    @router.delete(
        "/{key}", summary="Delete it", status_code=204, dependencies=[require("marketer")]
    )
    async def delete_trait(request: Request, key: Key) -> None:
        """It leaves every profile, those that something happens to at once.

        503 when Kafka is away: then it is deleted once Kafka can be reached.
        """
        published = await _catalogue(request).delete(key)
        if published is None:
            raise _unknown()
        if not published:
            detail = "It is marked as deleted, which takes effect when Kafka is back."
            raise Problem(503, "Service Unavailable", detail, headers={"Retry-After": "15"})

    return router


def _catalogue(request: Request) -> Catalogue:
    catalogue: Catalogue = request.app.state.catalogue
    return catalogue


def _unknown() -> Problem:
    return Problem(404, "Not Found", "There is no computed trait with this key.")
