"""``/v1/subscriptions``: webhooks to other teams, as an admin sets them up and watches them."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response

from schemas.validation import Fault
from services.profile.feed.model import Subscription
from services.profile.feed.office import Office
from services.profile.feed.shapes import (
    Attempts,
    Created,
    Move,
    Secret,
    Shown,
    SubscriptionBody,
    SubscriptionPatch,
    Tested,
    attempt,
    shown,
)
from services.profile.feed.subscriptions import Standing
from services.runtime.http import Page, Problem, require
from services.runtime.problem import ProblemDocument
from services.runtime.seals import NoSecretKeys

Id = Annotated[str, Path(max_length=100, examples=["sub_5f0c"])]
_UNKNOWN: dict[int | str, dict[str, Any]] = {
    404: {"description": "No such subscription", "model": ProblemDocument}
}
_SEALED: dict[int | str, dict[str, Any]] = {
    409: {"description": "No key to seal secrets with, or too many", "model": ProblemDocument}
}
_REFUSED: dict[int | str, dict[str, Any]] = {
    422: {"description": "Nothing can be sent there", "model": ProblemDocument}
}


def routes() -> APIRouter:
    """The routes; ``app.state.feed`` is their ``Office``."""
    router = APIRouter(
        prefix="/v1/subscriptions", tags=["webhooks"], dependencies=[require("admin")]
    )

    @router.post("", status_code=201, summary="Subscribe", responses=_SEALED | _REFUSED)
    async def create_subscription(request: Request, body: SubscriptionBody) -> Created:
        """From now on. The secret is shown this once."""
        try:
            created = await _office(request).create(body)
        except NoSecretKeys:
            raise _no_keys() from None
        if isinstance(created, Fault):
            raise _refused(created)
        subscription, secret = created
        return Created(**shown(subscription, Standing()).model_dump(), secret=secret)

    @router.get("", summary="Every subscription, and how it is doing")
    async def list_subscriptions(request: Request) -> Page[Shown]:
        """The oldest first."""
        office = _office(request)
        standings = await office.subscriptions.standings()
        found = await office.subscriptions.all()
        items = [shown(one, standings.get(one.id, Standing())) for one in found]
        return Page(items=items)

    @router.get("/{id}", summary="One subscription", responses=_UNKNOWN)
    async def show_subscription(request: Request, id: Id) -> Shown:
        """As it stands."""
        return await _shown(request, await _found(request, id))

    @router.patch("/{id}", summary="Change, disable or enable", responses=_UNKNOWN | _REFUSED)
    async def change_subscription(request: Request, id: Id, body: SubscriptionPatch) -> Shown:
        """Enabled again, it goes on from where it stopped."""
        changed = await _office(request).change(await _found(request, id), body)
        if isinstance(changed, Fault):
            raise _refused(changed)
        if changed is None:
            raise _unknown()
        return await _shown(request, changed)

    @router.delete("/{id}", status_code=204, summary="Unsubscribe", responses=_UNKNOWN)
    async def delete_subscription(request: Request, id: Id) -> Response:
        """What is on its way is not sent any more."""
        if not await _office(request).subscriptions.remove(id):
            raise _unknown()
        return Response(status_code=204)

    @router.post("/{id}/secrets", status_code=201, summary="A new secret", responses=_SEALED)
    async def rotate_secret(request: Request, id: Id) -> Secret:
        """For a day both sign: change the receiver's meanwhile."""
        try:
            secret, until = await _office(request).rotate(await _found(request, id))
        except NoSecretKeys:
            raise _no_keys() from None
        return Secret(secret=secret, former_until=until)

    @router.post("/{id}/test", summary="Send one webhook now", responses=_UNKNOWN)
    async def test_subscription(request: Request, id: Id) -> Tested:
        """Of the type `regulars.subscription.tested.v1`; waits for the answer."""
        return await _office(request).test(await _found(request, id))

    @router.post(
        "/{id}/replay",
        status_code=202,
        summary="Send everything since a point in time",
        responses=_UNKNOWN | _REFUSED,
    )
    async def replay(request: Request, id: Id, body: Move) -> Shown:
        """It goes on from there, in order, under the same webhook ids. Of profile.changes, the
        latest version of each person is always there; of segment.changes, 30 days are."""
        if body.since > datetime.now(UTC):
            raise _refused(Fault("in_the_future", "Name a point in time that is past."))
        await _found(request, id)
        moved = await _office(request).subscriptions.move(id, body.since)
        if moved is None:
            raise _unknown()
        return await _shown(request, moved)

    @router.get("/{id}/deliveries", summary="The last 100 attempts", responses=_UNKNOWN)
    async def list_deliveries(request: Request, id: Id) -> Attempts:
        """Newest first; a second behind what happens."""
        await _found(request, id)
        health = await _office(request).subscriptions.health(id)
        return Attempts(items=[attempt(entry) for entry in health.log])

    return router


def _office(request: Request) -> Office:
    office: Office = request.app.state.feed
    return office


async def _found(request: Request, id_: str) -> Subscription:
    found = await _office(request).subscriptions.get(id_)
    if found is None:
        raise _unknown()
    return found


async def _shown(request: Request, subscription: Subscription) -> Shown:
    standings = await _office(request).subscriptions.standings()
    return shown(subscription, standings.get(subscription.id, Standing()))


def _unknown() -> Problem:
    return Problem(404, "Not Found", "There is no subscription with this id.")


def _no_keys() -> Problem:
    detail = (
        "Secrets are kept sealed: set REGULARS_SECRET_KEYS of the profile API and its worker. "
        "`regulars sources secret-key` makes a key."
    )
    return Problem(409, "Conflict", detail, extra={"code": "no_secret_keys"})


def _refused(fault: Fault) -> Problem:
    if fault.code == "too_many_subscriptions":
        return Problem(409, "Conflict", fault.detail, extra={"code": fault.code})
    return Problem(422, "Unprocessable Content", fault.detail, extra={"code": fault.code})
