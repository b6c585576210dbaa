"""From a profile as it is published to the card by which people are compared. Pure."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

from services.profile.suggestions.model import Card

TRAITS = ("name", "firstName", "lastName", "address", "birthday", "email", "phone")
"""The traits that a card is made of."""
_LONGEST = 200
_NUMBER_FIRST = re.compile(r"(\d+\w?)[,\s]+(.+)")
_NUMBER_LAST = re.compile(r"(.+?)[,\s]+(\d+\w?)")
_DATE = re.compile(r"(\d{4})-?(\d{2})-?(\d{2})(?!\d)")
_FEWEST_DIGITS = 6


def card_of(
    profile_id: str, traits: Mapping[str, Any], identifiers: Iterable[Mapping[str, Any]] = ()
) -> Card:
    """The card of a profile with Segment's reserved traits; what does not fit is unknown.

    The name is ``firstName`` and ``lastName``, else the first and last word of ``name``. The
    address is an object with ``street``, ``city``, ``state``, ``postalCode``.
    """
    known: dict[str, Any] = {str(one.get("type")): one.get("value") for one in identifiers}
    given, family = folded(traits.get("firstName")), folded(traits.get("lastName"))
    if not given and not family:
        parts = folded(traits.get("name")).split()
        given, family = (parts[0], parts[-1]) if len(parts) > 1 else ("", "")
    found = traits.get("address")
    address: Mapping[str, Any] = found if isinstance(found, dict) else {}
    number, street = _house(folded(address.get("street")))
    return Card(
        profile_id=profile_id,
        given=given,
        family=family,
        street=street,
        number=number,
        city=folded(address.get("city")),
        region=folded(address.get("state")),
        postcode=folded(address.get("postalCode")).replace(" ", ""),
        birthday=_day(traits.get("birthday")),
        email=folded(traits.get("email") or known.get("email")),
        phone=_digits(traits.get("phone") or known.get("phone")),
    )


def folded(value: Any) -> str:
    """A text in lower case, without accents and double spaces; "" for anything else."""
    if not isinstance(value, str):
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""
    plain = unicodedata.normalize("NFKD", value[:_LONGEST]).casefold()
    return " ".join("".join(c for c in plain if not unicodedata.combining(c)).split())


def _house(street: str) -> tuple[str, str]:
    """(number, street) of ``12 Main Street`` and ``Hauptstraße 12``."""
    first = _NUMBER_FIRST.fullmatch(street)
    if first is not None:
        return first[1], first[2]
    last = _NUMBER_LAST.fullmatch(street)
    return ("", street) if last is None else (last[2], last[1])


def _day(value: Any) -> str:
    found = _DATE.match(value) if isinstance(value, str) else None
    return "" if found is None else "".join(found.groups())


def _digits(value: Any) -> str:
    digits = "".join(c for c in folded(value) if c.isdecimal())
    return digits[-10:] if len(digits) >= _FEWEST_DIGITS else ""
