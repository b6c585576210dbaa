"""``POST /v1/store/sales``: a till uploads what it sold and took back, often hours later."""

import asyncio
from typing import Any

import msgspec
from fastapi import APIRouter, Request
from msgspec import Raw, Struct
from pydantic import BaseModel, Field
from starlette.requests import ClientDisconnect

from schemas.validation import Fault
from services.ingest.access import Access
from services.ingest.doors import count, nothing_taken
from services.ingest.handler import Ingest, Limited, Unavailable
from services.ingest.model import MAX_BODY, MAX_EVENTS, Answer, Rejection, Shared
from services.ingest.packing import ENCODINGS, unpack
from services.ingest.sources.model import Source
from services.ingest.till.sale import Sale
from services.ingest.till.translation import text_of
from services.runtime.http import Problem

KIND = "store"
DOOR = "till"
RETRY_AFTER = 10


class Upload(BaseModel):
    """Sales and returns, in any order."""

    sales: list[Sale] = Field(max_length=MAX_EVENTS)
    writeKey: str | None = Field(None, description="Where no header names the key.")  # noqa: N815


class RefusedSale(BaseModel):
    """A sale that was refused, and why."""

    index: int
    code: str
    detail: str
    messageId: str | None = None  # noqa: N815


class Booked(BaseModel):
    """Every sale but the rejected ones is stored, for good."""

    success: bool = True
    accepted: int
    duplicates: int = Field(description="Repetitions within the request.")
    rejected: list[RefusedSale]


class _Envelope(Struct, rename="camel"):
    sales: list[Raw]
    write_key: Any = None


_envelopes = msgspec.json.Decoder(_Envelope)


class Cashier:
    """Takes uploads in."""

    def __init__(self, ingest: Ingest, access: Access) -> None:
        self._ingest = ingest
        self._access = access

    async def book(self, body: bytes, authorization: str | None) -> Booked:
        """Take what fits of an upload, and say what does not. Raises ``Problem``."""
        source = self._access.by_header(authorization)
        envelope = _open(body)
        if isinstance(envelope, Fault):
            if source is not None:
                await self._ingest.refuse(body, envelope, source, call="upload", door=DOOR)
            raise _problem(envelope)
        source = _till_of(source or self._access.by_key(envelope.write_key))
        places: list[int] = []
        texts: list[bytes] = []
        refused: list[tuple[bytes, Rejection]] = []
        for index, raw in enumerate(envelope.sales):
            event = text_of(bytes(raw), source.name)
            if isinstance(event, Fault):
                refused.append((bytes(raw), Rejection(index, event.code, event.detail)))
            else:
                places.append(index)
                texts.append(event)
        answer = await self._take(texts, source)
        await asyncio.gather(
            *(
                self._ingest.refuse(
                    sale, Fault(one.code, one.detail), source, call="sale", door=DOOR
                )
                for sale, one in refused
            )
        )
        for rejection in answer.rejected:
            rejection.index = places[rejection.index]
        rejected = sorted(
            [*(one for _, one in refused), *answer.rejected], key=lambda one: one.index
        )
        count(answer, rejected)
        return Booked(
            accepted=answer.accepted,
            duplicates=answer.duplicates,
            rejected=[RefusedSale(**msgspec.to_builtins(one)) for one in rejected],
        )

    async def _take(self, texts: list[bytes], source: Source) -> Answer:
        try:
            return await self._ingest.take(texts, None, Shared(), source, door=DOOR)
        except (Limited, Unavailable) as error:
            advice = "Upload the same again: till and receipt keep it from counting twice."
            raise nothing_taken(error, len(texts), advice, RETRY_AFTER) from None


def _open(body: bytes) -> _Envelope | Fault:
    try:
        envelope = _envelopes.decode(body)
    except msgspec.ValidationError:
        return Fault("bad_upload", "The body must be an object with a list `sales`.")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Fault("bad_json", "The body is not JSON.")
    if len(envelope.sales) > MAX_EVENTS:
        return Fault("upload_too_long", f"An upload has at most {MAX_EVENTS:,} sales.")
    return envelope


def _till_of(source: Source) -> Source:
    if source.kind != KIND:
        detail = "Tills send with the write key of a source of the kind store."
        raise Problem(403, "Forbidden", detail, extra={"code": "wrong_kind"})
    return source


def _problem(fault: Fault) -> Problem:
    extra = {"code": fault.code}
    if fault.code in ("upload_too_long", "body_too_large"):
        return Problem(413, "Content Too Large", fault.detail, extra=extra)
    if fault.code == "bad_encoding":
        headers = {"Accept-Encoding": ENCODINGS}
        return Problem(415, "Unsupported Media Type", fault.detail, headers=headers, extra=extra)
    return Problem(400, "Bad Request", fault.detail, extra=extra)


_EXAMPLE = {
    "sales": [
        {
            "till": "berlin-2",
            "receipt": "000123",
            "occurred_at": "2026-03-14T10:26:53+01:00",
            "currency": "EUR",
            "total": "24.90",
            "tax": "3.98",
            "lines": [{"sku": "SOCK-3", "name": "Socks", "quantity": 2, "price": "12.45"}],
            "payments": [{"method": "card", "amount": "24.90"}],
            "customer": {"loyalty_card": "2012 3456 7890", "email": "ada@shop.example"},
        }
    ]
}
_ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"description": "Not JSON, or no upload (`code` says how)"},
    401: {"description": "No known write key"},
    403: {"description": "The source is disabled, or not of the kind store"},
    413: {"description": f"More than {MAX_BODY:,} bytes or {MAX_EVENTS:,} sales; none was taken"},
    415: {"description": f"A Content-Encoding other than {ENCODINGS}"},
    429: {"description": "More than the source may send: again after Retry-After"},
    503: {"description": "The broker did not acknowledge: upload the same again"},
}


def router(cashier: Cashier) -> APIRouter:
    """The route that tills call."""
    routes = APIRouter(prefix="/v1/store", tags=["physical store"])

    @routes.post(
        "/sales",
        summary="Take sales and returns of a till",
        description=(
            "The write key of a source of the kind `store`, by HTTP Basic, Bearer or "
            "`writeKey`. Each becomes an Order Completed or Order Refunded. The same upload "
            "again counts once."
        ),
        responses=_ERRORS,
        openapi_extra={
            "security": [{"WriteKeyBasic": []}, {"WriteKeyBearer": []}, {}],
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {
                        "schema": {"$ref": "#/components/schemas/Upload"},
                        "example": _EXAMPLE,
                    }
                },
            },
        },
    )
    async def take_sales(request: Request) -> Booked:
        try:
            packed = await request.body()
        except ClientDisconnect:
            raise Problem(400, "Bad Request", "The request was cut off.") from None
        body = unpack(packed, request.headers.get("content-encoding", ""))
        if not isinstance(body, Fault) and len(body) > MAX_BODY:
            body = Fault("body_too_large", f"A body has at most {MAX_BODY:,} bytes.")
        if isinstance(body, Fault):
            raise _problem(body)
        return await cashier.book(body, request.headers.get("authorization"))

    return routes
