"""Pages for readers of mails: they run nothing, load nothing and are kept nowhere."""

from fastapi.responses import HTMLResponse

from services.notifier import unsubscribe

PAGE = {"content": {"text/html": {"schema": {"type": "string"}}}}
"""How the document describes an answer that is a page, where it is an error."""
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
}


def shown(
    content: tuple[str, str, str], status: int = 200, *, again: int | None = None
) -> HTMLResponse:
    """One page: title, lead and the rest, which is HTML. ``again``: worth asking in so many
    seconds; of a 503 in half a minute."""
    again = 30 if status == 503 else again
    headers = _HEADERS if again is None else {**_HEADERS, "Retry-After": str(again)}
    return HTMLResponse(unsubscribe.page(content), status, headers)
