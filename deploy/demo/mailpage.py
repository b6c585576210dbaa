"""The mail sink's page: a list of mails and the one that is open. No scripts, works offline."""

from collections.abc import Sequence
from datetime import datetime
from html import escape
from typing import Protocol
from urllib.parse import urlencode

SHUT_IN = {
    "Content-Security-Policy": (
        "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    ),
    "Referrer-Policy": "no-referrer",
}
"""Headers under which a mail's own HTML can do and load nothing."""


class Shown(Protocol):
    """A mail, taken apart."""

    id: int
    received_at: datetime
    sender: str
    to: str
    subject: str
    headers: dict[str, str]
    text: str
    html: str | None


def page(mails: Sequence[Shown], shown: Shown | None, received: int, to: str) -> str:
    """The whole page."""
    rows = "".join(_row(mail, shown, to) for mail in mails)
    listed = f"<ol class='mails'>{rows}</ol>" if rows else "<p class='quiet'>No mails yet.</p>"
    opened = _opened(shown) if shown else "<p class='quiet'>Choose a mail to read it.</p>"
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Mail sink</title>
<link rel="icon" href="data:,">
<style>{_STYLE}</style>
</head>
<body>
<header>
<h1>Mail sink</h1>
<p class="quiet">{received:,} received, none delivered</p>
<form><label>Recipient <input name="to" type="search" value="{escape(to)}"></label>
<button>Show</button> <a href="?{urlencode({"to": to})}">Refresh</a></form>
</header>
<main class="{"reading" if shown else ""}">
<nav aria-label="Mails">{listed}</nav>
<article>{opened}</article>
</main>
</body>
</html>
"""


def _row(mail: Shown, shown: Shown | None, to: str) -> str:
    current = ' aria-current="true"' if shown is not None and shown.id == mail.id else ""
    link = "?" + urlencode({"id": mail.id, **({"to": to} if to else {})})
    return (
        f"<li><a href='{escape(link)}'{current}>"
        f"<strong>{escape(mail.subject or '(no subject)')}</strong>"
        f"<span>{escape(mail.to)}</span><time>{mail.received_at:%H:%M:%S}</time></a></li>"
    )


def _opened(mail: Shown) -> str:
    headers = "".join(
        f"<tr><th scope='row'>{escape(name)}</th><td>{escape(value)}</td></tr>"
        for name, value in mail.headers.items()
    )
    frame = (
        f"<iframe sandbox title='The mail as HTML' src='/messages/{mail.id}/html'></iframe>"
        if mail.html is not None
        else ""
    )
    return (
        f"<h2>{escape(mail.subject or '(no subject)')}</h2>"
        f"<p class='quiet'>To {escape(mail.to)}, {mail.received_at:%Y-%m-%d %H:%M:%S} UTC</p>"
        f"{frame}<h3>Text</h3><pre>{escape(mail.text)}</pre>"
        f"<details><summary>Headers</summary><div class='scroll'><table>{headers}</table>"
        "</div></details>"
    )


_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #f5f6f8; --card: #fff;
  --quiet: #565d66; --line: #d8dce1; --accent: #1d4ed8; --on: #fff; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8eaed; --paper: #14171a;
  --card: #1e2227; --quiet: #a9b0b8; --line: #363c44; --accent: #8ab4ff; --on: #10131a; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; }
header { display: flex; flex-wrap: wrap; gap: .5rem 1.5rem; align-items: center;
  padding: .75rem 1rem; border-bottom: 1px solid var(--line); background: var(--card); }
h1 { font-size: 1.15rem; margin: 0; } h2 { margin: 0; overflow-wrap: anywhere; }
.quiet { color: var(--quiet); margin: .25rem 0; }
form { display: flex; flex-wrap: wrap; gap: .5rem; align-items: center; margin-left: auto; }
input, button { font: inherit; padding: .3rem .6rem; border-radius: .4rem;
  border: 1px solid var(--line); background: var(--paper); color: var(--ink); }
button { background: var(--accent); color: var(--on); border-color: var(--accent); }
a { color: var(--accent); }
main { display: grid; grid-template-columns: minmax(16rem, 24rem) 1fr; gap: 1rem;
  padding: 1rem; }
.mails { list-style: none; margin: 0; padding: 0; display: grid; gap: .4rem; }
.mails a { display: grid; grid-template-columns: 1fr auto; padding: .6rem .8rem;
  border: 1px solid var(--line); border-radius: .5rem; background: var(--card);
  color: inherit; text-decoration: none; }
.mails strong { grid-column: 1 / 3; overflow: hidden; text-overflow: ellipsis; }
.mails span, .mails time { color: var(--quiet); font-size: .875rem; overflow-wrap: anywhere; }
.mails a[aria-current] { border-color: var(--accent); border-width: 2px; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
article { background: var(--card); border: 1px solid var(--line); border-radius: .75rem;
  padding: 1.25rem; min-width: 0; align-self: start; }
iframe { width: 100%; height: 60vh; border: 1px solid var(--line); border-radius: .4rem;
  background: #fff; margin-top: .75rem; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; }
th { text-align: left; vertical-align: top; padding-right: 1rem; white-space: nowrap; }
td { overflow-wrap: anywhere; } .scroll { overflow-x: auto; }
@media (max-width: 48rem) { main { grid-template-columns: 1fr; }
  main.reading article { order: -1; } form { margin-left: 0; } }
"""
