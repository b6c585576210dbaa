"""Which device an event came from: what its SDK says, else what the user agent tells.

A device is kept as one text, ``type``, ``os``, ``browser`` and ``model`` between tabs.
"""

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

from ua_parser import parse

from schemas.messages import Device
from services.profile.build.rules.values import text

_LONGEST_AGENT = 1_000
_LONGEST = 60
_PHONES = frozenset({"iOS", "Android", "Windows Phone", "KaiOS", "HarmonyOS", "BlackBerry OS"})
_OTHERS = frozenset({"tvOS", "WatchOS", "webOS", "Tizen", "Chromecast", "Roku", "FireOS TV"})


def load() -> None:
    """Read the rules of ua-parser, which takes part of a second, now and not in a turn."""
    parse("")


def device_of(device: Any, os: Any, agent: Any) -> str | None:
    """The device of an event's ``context``; None where it tells none, or a program's.

    ``context.device`` is what mobile SDKs send (``type``, ``model``, with ``context.os.name``).
    """
    if isinstance(device, dict):
        told = _told(device, os if isinstance(os, dict) else {})
        if told is not None:
            return told
    if isinstance(agent, str) and 0 < len(agent) <= _LONGEST_AGENT:
        return _of_agent(agent)
    return None


def _told(device: dict[str, Any], os: dict[str, Any]) -> str | None:
    model, kind = text(device.get("model")), (text(device.get("type")) or "").lower()
    if model is None and not kind:
        return None
    system = text(os.get("name")) or {"ios": "iOS", "android": "Android"}.get(kind, "")
    if "desktop" in kind:
        type_ = "desktop"
    elif "tablet" in kind or (model or "").lower().startswith("ipad"):
        type_ = "tablet"
    elif kind in ("ios", "android", "mobile", "phone", "handset", "smartphone"):
        type_ = "mobile"
    else:
        type_ = "other"
    return _written(type_, system, "", model or "")


@lru_cache(maxsize=20_000)
def _of_agent(agent: str) -> str | None:
    """By the rules of ua-parser; a reading takes far longer than all else about an event."""
    found = parse(agent)
    os = found.os.family if found.os else ""
    model = found.device.family if found.device else ""
    if not os or model == "Spider":
        return None  # a program: a shop's server, a crawler
    browser = found.user_agent.family if found.user_agent else ""
    brand = (found.device.brand if found.device else "") or ""
    return _written(_type(os, agent, model + brand), os, browser, model)


def _type(os: str, agent: str, model: str) -> str:
    # Browsers on Android say "Mobile" on a phone, and not on a tablet.
    if os in _OTHERS or "TV" in agent:
        return "other"
    if "iPad" in model or "Tablet" in model or (os == "Android" and "Mobile" not in agent):
        return "tablet"
    return "mobile" if os in _PHONES else "desktop"


def _written(*parts: str) -> str:
    return "\t".join(" ".join(part.split())[:_LONGEST] for part in parts)


def devices_of(kept: Mapping[str, datetime]) -> list[Device]:
    """The devices of ``Habits.devices``, the last used first."""
    if len(kept) == 1:  # as most people have
        [(written, last_seen)] = kept.items()
        return [Device(*_read(written), last_seen)]
    latest = sorted(kept.items(), key=lambda item: (item[1], item[0]), reverse=True)
    return [Device(*_read(written), last_seen) for written, last_seen in latest]


@lru_cache(maxsize=20_000)
def _read(written: str) -> tuple[str, str, str, str]:
    type_, os, browser, model = written.split("\t")
    return type_, os, browser, model
