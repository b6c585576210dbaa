"""The routes of computed traits.

Segmentation declares the ones that its rules need by itself, under keys that begin with
``ct_``; these routes are for traits that somebody wants to see on every profile.
"""

from typing import Annotated

from fastapi import APIRouter, Path, Request

from schemas.messages import Definition
from services.profile.computed.catalogue import Catalogue
from services.profile.computed.checks import check
from services.profile.computed.shapes import ComputedTraitBody, ComputedTraitDefinition
from services.profile.computed.store import DefinitionStore
from services.runtime.http import Page, Problem, require

Key = Annotated[str, Path(pattern="^[a-z0-9][a-z0-9_-]{0,63}$", examples=["orders_30d"])]


def routes() -> APIRouter:
    """GET for every role, PUT for marketers."""
    router = APIRouter(prefix="/v1/computed-traits", tags=["computed traits"])

    @router.get("", summary="Every declared computed trait", dependencies=[require("reader")])
    async def list_traits(request: Request) -> Page[ComputedTraitDefinition]:
        store = _store(request)
        waiting = {one.name: one.version for one in await store.unpublished()}
        return Page(
            items=[
                _answer(definition, definition.name not in waiting)
                for definition in await store.all()
            ]
        )

    @router.get("/{key}", summary="One computed trait", dependencies=[require("reader")])
    async def show_trait(request: Request, key: Key) -> ComputedTraitDefinition:
        definition = await _store(request).get(key)
        if definition is None:
            raise Problem(404, "Not Found", "There is no computed trait with this key.")
        waiting = {one.name for one in await _store(request).unpublished()}
        return _answer(definition, key not in waiting)

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
        catalogue: Catalogue = request.app.state.catalogue
        return _answer(*await catalogue.put(key, body))

    return router


def _store(request: Request) -> DefinitionStore:
    catalogue: Catalogue = request.app.state.catalogue
    return catalogue.store


def _answer(definition: Definition, published: bool) -> ComputedTraitDefinition:
    return ComputedTraitDefinition(
        key=definition.name,
        version=definition.version,
        updated_at=definition.updated_at,
        published=published,
        definition=ComputedTraitBody.model_validate(definition.body),
    )
