"""The segments and campaigns of the demo, defined over the APIs as a marketer would."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import httpx

from deploy.demo.environment import MARKETER
from deploy.local.errors import StackError

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
_TRIES = 10
_LOOK_SECONDS = 0.5

SEGMENTS: Mapping[str, Mapping[str, Any]] = {
    "regulars": {
        "name": "Regulars",
        "description": "Three orders or more.",
        "rule": {"fact": "order_count", "op": "gte", "value": 3},
    },
    "lapsed-regulars": {
        "name": "Lapsed regulars",
        "description": "Three orders or more, but none for half a year.",
        "rule": {
            "all": [
                {"fact": "order_count", "op": "gte", "value": 3},
                {"fact": "last_order_at", "op": "older_than", "seconds": 182 * _DAY},
            ]
        },
    },
    "new-customers": {
        "name": "New customers",
        "description": "First ordered within 30 days.",
        "rule": {"fact": "first_order_at", "op": "newer_than", "seconds": 30 * _DAY},
    },
    "subscribers": {
        "name": "Subscribers",
        "description": "Have agreed to get mail.",
        "rule": {"fact": "consent.email", "op": "equals", "value": "granted"},
    },
    "shoe-lovers": {
        "name": "Shoe lovers",
        "description": "Looked at shoes three times within 7 days.",
        "rule": {
            "event": "Product Viewed",
            "where": [{"property": "category", "op": "equals", "value": "shoes"}],
            "within_seconds": 7 * _DAY,
            "op": "gte",
            "value": 3,
        },
    },
    "cart-left": {
        "name": "Cart left behind",
        "description": "Filled a cart within the hour, not in the last 30 seconds; no order.",
        "rule": {
            "all": [
                {"event": "Product Added", "within_seconds": _HOUR, "op": "gte", "value": 1},
                {"event": "Product Added", "within_seconds": 30, "op": "equals", "value": 0},
                {"event": "Order Completed", "within_seconds": _HOUR, "op": "equals", "value": 0},
            ]
        },
    },
    "big-spenders": {
        "name": "Big spenders",
        "description": "More than $500 in all.",
        "rule": {"fact": "revenue", "currency": "USD", "op": "gt", "value": "500"},
    },
}

_FROM = "Corner & Main <hello@corner-main.example>"
_END = "\n\nCorner & Main\n\nNo more of these: {{ unsubscribe_url }}\n"
_HTML_END = (
    '<p style="color:#667">Corner &amp; Main · '
    '<a href="{{ unsubscribe_url }}">no more of these</a></p>'
)
_NAME = "{{ traits.firstName | default: 'you' }}"

CAMPAIGNS: Mapping[str, Mapping[str, Any]] = {
    "welcome": {
        "name": "Welcome",
        "trigger": {"segment": "subscribers"},
        "from": _FROM,
        "subject": f"Welcome, {_NAME}",
        "text": "Good to have you here. Something new comes in every Tuesday." + _END,
        "html": (
            f"<h1>Good to have you here, {_NAME}</h1>"
            "<p>Something new comes in every Tuesday. "
            '<a href="https://corner-main.example/new">See what is new</a></p>' + _HTML_END
        ),
    },
    "cart-left": {
        "name": "Cart left behind",
        "trigger": {"segment": "cart-left"},
        "from": _FROM,
        "subject": "{{ traits.lastAdded | default: 'Your cart' }} is still yours",
        "text": f"Hello {_NAME},\n\n"
        "{{ traits.lastAdded | default: 'what you chose' }} waits in your cart:\n"
        "https://corner-main.example/cart" + _END,
        "html": (
            f"<h1>Still thinking, {_NAME}?</h1>"
            "<p>{{ traits.lastAdded | default: 'What you chose' }} waits in "
            '<a href="https://corner-main.example/cart">your cart</a>.</p>' + _HTML_END
        ),
        "once": False,
        "expires_seconds": _DAY,
    },
    "thank-you": {
        "name": "Thank you",
        "trigger": {"segment": "new-customers"},
        "from": _FROM,
        "subject": f"Thank you, {_NAME}",
        "text": "Your first order with us: we are packing it with care." + _END,
        "delay_seconds": 10,
        "expires_seconds": _HOUR,
    },
}


async def define(segmentation: str, notifier: str) -> None:
    """Put all of them. What stands already stays as it is, at the same version."""
    headers = {"Authorization": f"Bearer {MARKETER}"}
    async with httpx.AsyncClient(headers=headers, timeout=20, trust_env=False) as client:
        for key, segment in SEGMENTS.items():
            await _put(client, f"{segmentation}/v1/segments/{key}", segment)
        for key, campaign in CAMPAIGNS.items():
            await _put(client, f"{notifier}/v1/campaigns/{key}", campaign)


async def evaluated(segmentation: str, say: Callable[[str], None]) -> None:
    """Return once everybody has been asked about every segment."""
    headers = {"Authorization": f"Bearer {MARKETER}"}
    url = f"{segmentation}/v1/segments?limit=500"
    async with httpx.AsyncClient(headers=headers, timeout=20, trust_env=False) as client:
        while left := await _left(client, url):
            say(f"Segments: {', '.join(left)} to go")
            await asyncio.sleep(_LOOK_SECONDS)


async def _left(client: httpx.AsyncClient, url: str) -> list[str]:
    """The segments that not everybody has been asked about."""
    try:
        answer = (await client.get(url)).raise_for_status().json()
    except httpx.HTTPError as error:
        raise StackError(f"{url} does not answer: {type(error).__name__}") from None
    return [one["name"] for one in answer["items"] if one["state"] != "ready"]


async def _put(client: httpx.AsyncClient, url: str, body: Mapping[str, Any]) -> None:
    said = ""
    for _ in range(_TRIES):
        try:
            response = await client.put(url, json=body)
        except httpx.TransportError as error:
            said = type(error).__name__
        else:
            if response.is_success:
                return
            said = f"{response.status_code}: {response.text[:300]}"
            if response.status_code < 500:
                break
        await asyncio.sleep(1)
    raise StackError(f"{url} could not be defined: {said}")
