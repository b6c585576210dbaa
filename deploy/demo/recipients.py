"""People who read the demo's mails: some open them, some click, a few have had enough."""

import asyncio
import re
from collections.abc import Callable
from random import Random
from typing import Any

import httpx

from deploy.demo.sending import Sender

OPENED, CLICKED, UNSUBSCRIBED = 0.65, 0.3, 0.03
_LOOK_S = 1.0
_PAGE = 100
_ADDRESS = re.compile(r"<([^<>]+)>")

Mail = dict[str, Any]


async def read_mails(sink: str, sender: Sender, tell: Callable[[int], None]) -> None:
    """Look into the mail sink until cancelled; ``tell`` hears how many mails were new."""
    async with (
        httpx.AsyncClient(timeout=10, trust_env=False) as client,
        asyncio.TaskGroup() as readers,
    ):
        last = 0
        while True:
            mails = await _newer(client, sink, last)
            last = max((mail["id"] for mail in mails), default=last)
            tell(len(mails))
            for mail in mails:
                readers.create_task(_read(mail, sender, client))
            await asyncio.sleep(_LOOK_S)


async def _newer(client: httpx.AsyncClient, sink: str, last: int) -> list[Mail]:
    """Mails with an id above ``last``; none while the sink is away."""
    found: list[Mail] = []
    cursor: str | None = None
    try:
        while True:
            params = {"limit": str(_PAGE)} | ({"cursor": cursor} if cursor else {})
            response = await client.get(f"{sink}/messages", params=params)
            response.raise_for_status()
            page = response.json()
            new = [mail for mail in page["items"] if mail["id"] > last]
            found += new
            cursor = page["next"]
            if cursor is None or len(new) < len(page["items"]):
                return found
    except httpx.HTTPError:
        return []


async def _read(mail: Mail, sender: Sender, client: httpx.AsyncClient) -> None:
    """What one person does with one mail; the same mail is always treated the same."""
    message_id = mail["headers"].get("X-Regulars-Message", "")
    random = Random(message_id)
    if not message_id:
        return
    await sender.send([_event("Email Delivered", mail, message_id)])
    if random.random() >= OPENED:
        return
    await asyncio.sleep(random.uniform(1, 15))
    await sender.send([_event("Email Opened", mail, message_id)])
    if random.random() < CLICKED:
        await asyncio.sleep(random.uniform(1, 5))
        await sender.send([_event("Email Link Clicked", mail, message_id)])
    elif random.random() < UNSUBSCRIBED / OPENED:
        link = _ADDRESS.search(mail["headers"].get("List-Unsubscribe", ""))
        if link is not None:
            await _unsubscribe(client, link.group(1))


async def _unsubscribe(client: httpx.AsyncClient, link: str) -> None:
    try:
        await client.post(link, data={"List-Unsubscribe": "One-Click"})
    except httpx.HTTPError:
        return  # a mail program does not try again either


def _event(name: str, mail: Mail, message_id: str) -> dict[str, Any]:
    """As a mail provider's webhook would report it: it knows the address only."""
    return {
        "type": "track",
        "event": name,
        "messageId": f"{message_id}-{name.rpartition(' ')[2].lower()}",
        "context": {"traits": {"email": mail["to"]}},
        "properties": {
            "email_id": message_id,
            "campaign_name": mail["headers"].get("X-Regulars-Campaign", ""),
            "email_subject": mail["subject"],
        },
    }
