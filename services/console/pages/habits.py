"""What follows from all that a person did: favourites, when they are there, with what."""

from services.console import words
from services.console.answers import Amount, Device, Profile
from services.console.elements import Cell, card, empty, facts


def show(profile: Profile) -> None:
    """Facts that are not known are left out."""
    known = [(label, value) for label, value in _facts(profile) if value]
    with card("Habits", note="From orders and visits"):
        if known:
            facts(known)
        else:
            empty("No habits are known yet.", "Visits and orders show them.")


def _facts(profile: Profile) -> list[tuple[str, Cell]]:
    days, hour = profile.days_between_orders, profile.preferred_hour
    return [
        ("Revenue before refunds", _moneys(profile.revenue_gross)),
        ("Average order", _moneys(profile.average_order_value)),
        ("Days between orders", "" if days is None else words.digits(days)),
        ("Favourite category", profile.favourite_category or ""),
        ("Favourite brand", profile.favourite_brand or ""),
        ("Answers by", words.sentence(profile.preferred_channel or "")),
        ("Most active", "" if hour is None else f"{hour:02}:00 to {hour:02}:59"),
        ("Devices", ", ".join(dict.fromkeys(map(_device, profile.devices)))),
        ("Locale", profile.locale or ""),
        ("Time zone", profile.time_zone or ""),
    ]


def _moneys(amounts: list[Amount]) -> str:
    return words.moneys(amounts) if amounts else ""


def _device(device: Device) -> str:
    """Chrome on Windows; iPhone (iOS)."""
    if device.browser:
        return f"{device.browser} on {device.os}"
    return f"{device.model or device.type} ({device.os})" if device.os else device.model
