"""One-click unsubscribe (RFC 8058): the token in the link, and the pages it leads to."""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from html import escape

_ID_BYTES = 16
_MAC_BYTES = 16


def token(message_id: str, secret: bytes) -> str:
    """A link's token: the message's id and a MAC over it, 43 URL-safe characters.

    The message id is itself a digest of campaign, person and occurrence, so the MAC binds
    the link to them. ``message_id`` must be 32 hex digits.
    """
    raw = bytes.fromhex(message_id)
    return urlsafe_b64encode(raw + _mac(raw, secret)).rstrip(b"=").decode("ascii")


def message_of(token: str, secret: bytes) -> str | None:
    """The message id in a token of ours; None for anything else."""
    try:
        raw = urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))
    except (Base64Error, ValueError):
        return None
    id_, mac = raw[:_ID_BYTES], raw[_ID_BYTES:]
    if len(id_) != _ID_BYTES or not hmac.compare_digest(mac, _mac(id_, secret)):
        return None
    return id_.hex()


def url(public_url: str, message_id: str, secret: bytes) -> str:
    """The address for the List-Unsubscribe header and for templates."""
    return f"{public_url.rstrip('/')}/unsubscribe/{token(message_id, secret)}"


def _mac(raw: bytes, secret: bytes) -> bytes:
    return hmac.digest(secret, b"unsubscribe:" + raw, "sha256")[:_MAC_BYTES]


ASK = (
    "Unsubscribe",
    "Do you want to stop receiving marketing emails from us?",
    "<form method='post'><input type='hidden' name='List-Unsubscribe' value='One-Click'>"
    "<button type='submit'>Unsubscribe</button></form>"
    "<p class='quiet'>Messages about your orders still reach you.</p>",
)
DONE = (
    "You are unsubscribed",
    "You will receive no more marketing emails from us.",
    "<p class='quiet'>Messages about your orders still reach you.</p>",
)
UNKNOWN = (
    "This link does not work",
    "It may have been cut off. Please open it again from the email.",
    "",
)
LATER = (
    "You will get no more emails",
    "Your choice is stored and in force. Some of our systems could not be told yet.",
    "<form method='post'><button type='submit'>Try again</button></form>",
)
AWAY = (
    "Please try again in a minute",
    "We could not store your choice just now.",
    "<form method='post'><button type='submit'>Try again</button></form>",
)


def page(content: tuple[str, str, str]) -> str:
    """One small page: works without scripts, on a phone, in light and dark, offline."""
    title, lead, rest = content
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<meta name="referrer" content="no-referrer">
<title>{escape(title)}</title>
<style>
:root {{ color-scheme: light dark; --ink: #1b1f24; --paper: #f5f6f8; --card: #fff;
  --quiet: #565d66; --accent: #1d4ed8; --on: #fff; }}
@media (prefers-color-scheme: dark) {{ :root {{ --ink: #e8eaed; --paper: #14171a;
  --card: #1e2227; --quiet: #a9b0b8; --accent: #8ab4ff; --on: #10131a; }} }}
body {{ margin: 0; min-height: 100vh; display: grid; place-items: center;
  background: var(--paper); color: var(--ink); font: 1.05rem/1.6 system-ui, sans-serif; }}
main {{ background: var(--card); max-width: 28rem; margin: 1rem; padding: 2rem;
  border-radius: .75rem; }}
h1 {{ font-size: 1.5rem; line-height: 1.25; margin: 0 0 .75rem; }}
.quiet {{ color: var(--quiet); font-size: .95rem; }}
button {{ font: inherit; font-weight: 600; padding: .7rem 1.4rem; border: 0; cursor: pointer;
  border-radius: .5rem; background: var(--accent); color: var(--on); }}
button:focus-visible {{ outline: 3px solid var(--ink); outline-offset: 2px; }}
</style>
</head>
<body>
<main>
<h1>{escape(title)}</h1>
<p>{escape(lead)}</p>
{rest}
</main>
</body>
</html>
"""
