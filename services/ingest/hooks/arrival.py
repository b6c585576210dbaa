"""A provider's call as it comes in over HTTP: what it says of itself first, then its body."""

from datetime import datetime

from fastapi import Request
from starlette.requests import ClientDisconnect

from services.ingest.hooks.model import Delivery
from services.runtime.http import Problem


def delivery_of(request: Request, source: str, at: datetime) -> Delivery:
    """The delivery that a request carries, but for its body; 415 when that is compressed."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    if headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        detail = "Webhooks are taken uncompressed: a signature is over the bytes that arrive."
        raise Problem(415, "Unsupported Media Type", detail, extra={"code": "bad_encoding"})
    return Delivery(
        source=source,
        method=request.method,
        url=str(request.url),
        headers=headers,
        query=dict(request.query_params),
        body=b"",
        received_at=at,
    )


async def body_of(request: Request, most: int) -> bytes:
    """The body of a request; 413 beyond ``most`` bytes."""
    body = bytearray()
    try:
        async for part in request.stream():
            body += part
            if len(body) > most:
                detail = f"A delivery has at most {most:,} bytes here."
                raise Problem(413, "Content Too Large", detail, extra={"code": "body_too_large"})
    except ClientDisconnect:
        raise Problem(400, "Bad Request", "The request was cut off.") from None
    return bytes(body)
