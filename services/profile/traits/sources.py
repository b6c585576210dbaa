"""The routes by which people declare which sources are trusted with which traits."""

from typing import Annotated

from fastapi import APIRouter, Path, Request

from schemas.messages import Definition
from services.profile.computed.catalogue import Catalogue
from services.profile.traits.shapes import TraitSources, TraitSourcesBody
from services.runtime.http import Page, Problem, require

Name = Annotated[
    str, Path(min_length=1, max_length=200, description="A trait; `*` for every other one.")
]


def routes() -> APIRouter:
    """GET for every role, the rest for marketers."""
    router = APIRouter(prefix="/v1/trait-sources", tags=["traits"])

    @router.get("", summary="Every trait with trusted sources", dependencies=[require("reader")])
    async def list_sources(request: Request) -> Page[TraitSources]:
        store = _catalogue(request).store
        waiting = {one.name for one in await store.unpublished()}
        return Page(items=[_answer(one, one.name not in waiting) for one in await store.all()])

    @router.get("/{name}", summary="Of one trait", dependencies=[require("reader")])
    async def show_sources(request: Request, name: Name) -> TraitSources:
        store = _catalogue(request).store
        definition = await store.get(name)
        if definition is None:
            raise _unknown()
        waiting = {one.name for one in await store.unpublished()}
        return _answer(definition, name not in waiting)

    @router.put("/{name}", summary="Declare them", dependencies=[require("marketer")])
    async def put_sources(request: Request, name: Name, body: TraitSourcesBody) -> TraitSources:
        """Every profile is computed again by it, one by one.

        What a more trusted source said of the trait then holds, however old it is; also that
        the trait is unset. An empty list trusts all alike again.
        """
        if len({*body.sources}) < len(body.sources):
            detail = "Name each source once."
            errors = [{"at": "body.sources", "detail": detail, "code": "repeated"}]
            raise Problem(422, "Unprocessable Content", detail, extra={"errors": errors})
        return _answer(*await _catalogue(request).put(name, body))

    @router.delete(
        "/{name}", summary="Declare none", status_code=204, dependencies=[require("marketer")]
    )
    async def delete_sources(request: Request, name: Name) -> None:
        """Those of `*` hold for the trait again, if there are any.

        503 when Kafka is away: then it is done once Kafka can be reached.
        """
        published = await _catalogue(request).delete(name)
        if published is None:
            raise _unknown()
        if not published:
            detail = "They are marked as deleted, which takes effect when Kafka is back."
            raise Problem(503, "Service Unavailable", detail, headers={"Retry-After": "15"})

    return router


def _unknown() -> Problem:
    detail = "No sources are declared for this trait; those of `*` hold, if there are any."
    return Problem(404, "Not Found", detail)


def _catalogue(request: Request) -> Catalogue:
    catalogue: Catalogue = request.app.state.trait_sources
    return catalogue


def _answer(definition: Definition, published: bool) -> TraitSources:
    return TraitSources(
        name=definition.name,
        version=definition.version,
        updated_at=definition.updated_at,
        published=published,
        sources=definition.body.get("sources", []),
    )
