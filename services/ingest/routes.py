"""The addresses of the tracking calls, Segment's and those that its SDKs use: pure."""

from typing import Literal, get_args

from msgspec import Struct

from services.ingest.model import Call

CALLS: tuple[str, ...] = get_args(Call)
IMPORT = "/v1/import"
"""A batch like another, since Segment's SDKs for Ruby and Java send what happens now there;
with ``?history=true`` its events are marked as history."""


class Route(Struct, frozen=True):
    """What is sent to one address, and how."""

    path: str
    """Also the label in metrics, as framework routes have it."""
    call: str | None
    """None: a batch, in which each event says its own."""
    method: Literal["POST", "GET"] = "POST"
    """By GET the event lies in the query, and the answer is an image."""


def _routes() -> list[Route]:
    routes = [Route(f"/v1/{call}", call) for call in CALLS]
    # Segment's SDK for browsers shortens a call to its first letter.
    routes += [Route(f"/v1/{call[0]}", call) for call in CALLS]
    batches = ("/v1/batch", IMPORT, "/v1/b", "/v1/beacon/v1/batch", "/beacon/v1/batch")
    routes += [Route(path, None) for path in batches]
    for pixel in ("/v1/pixel", "/pixel/v1"):
        routes += [Route(f"{pixel}/{call}", call, "GET") for call in CALLS]
    return routes


ROUTES = {route.path: route for route in _routes()}
