"""The one spelling in which an identifier is compared, whoever wrote it. Pure."""

import re
from functools import lru_cache
from hashlib import sha256

import phonenumbers
from email_validator import EmailNotValidError, validate_email

from schemas.messages import Identifier
from services.profile.resolve.rules.kinds import BLOCKED, BLOCKED_CHARACTERS, LONGEST

_SHA256 = re.compile(r"[0-9a-f]{64}")
_LONGEST_PHONE = 40
_FORMED = frozenset({"email", "phone", "email_sha256"})
"""Types whose values have a form."""


@lru_cache(maxsize=50_000)
def email_address(text: str) -> str | None:
    """An address in the one spelling by which it is compared, or None if it is none.

    Trimmed and in lower case, the local part too: no provider of note tells them apart,
    and people do not either. Whether mail arrives there does not matter here.
    """
    try:
        address = validate_email(
            text.strip(),
            check_deliverability=False,
            globally_deliverable=False,
            test_environment=True,
        )
    except EmailNotValidError:
        return None
    return address.normalized.lower()


@lru_cache(maxsize=50_000)
def phone_number(text: str, region: str | None = None) -> str | None:
    """A number as E.164 has it, or None if there is no such number.

    ``region`` (ISO 3166, two letters) is where a number without a country is from; without
    it, such a number tells nobody. A mobile number may have the region's own country in front
    without a ``+``, as what is sent as a JSON number has.
    """
    if len(text) > _LONGEST_PHONE:
        return None
    number = _bare_mobile(text, region) or _parsed(text, region)
    if number is None:
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _bare_mobile(text: str, region: str | None) -> phonenumbers.PhoneNumber | None:
    """Where numbers have no fixed length, that country would be read as an area."""
    if region is None or not (text.isascii() and text.isdigit()):
        return None
    country = phonenumbers.country_code_for_region(region)
    if not country or not text.startswith(str(country)):
        return None
    number = _parsed("+" + text, None)
    if number is None or phonenumbers.number_type(number) != phonenumbers.PhoneNumberType.MOBILE:
        return None
    return number


def _parsed(text: str, region: str | None) -> phonenumbers.PhoneNumber | None:
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    return number if phonenumbers.is_valid_number(number) else None


def usable(value: str) -> bool:
    """Whether an id tells one person from others."""
    return (
        bool(value.strip(BLOCKED_CHARACTERS))
        and value.lower() not in BLOCKED
        and len(value) <= LONGEST
    )


def spelled(type: str, text: str, region: str | None = None) -> str | None:
    """``text`` as identifiers of this type are written, or None where it names nobody."""
    text = text.strip()
    if type not in _FORMED:
        return text if usable(text) else None
    if type == "email":
        return email_address(text) if len(text) <= LONGEST else None
    if type == "phone":
        return phone_number(text, region)
    return text.lower() if _SHA256.fullmatch(text.lower()) else None


@lru_cache(maxsize=50_000)
def node_of(identifier: Identifier) -> Identifier:
    """What an identifier is in the graph: an address and its SHA-256 are the same one."""
    if identifier.type != "email":
        return identifier
    return Identifier("email_sha256", sha256(identifier.value.encode()).hexdigest())
