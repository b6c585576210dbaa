"""What resolve stores, as documents of the collections that ``store`` and ``timeline`` describe."""

import msgspec

from schemas.messages import Identifier
from services.profile.resolve.model import Device, Mark, Owner, Stored
from services.runtime.mongo import Document


def key_of(identifier: Identifier) -> str:
    """Its ``_id`` in ``identifiers``."""
    return f"{identifier.type}:{identifier.value}"


def identifier_of(key: str) -> Identifier:
    """The inverse of ``key_of``."""
    type, _, value = key.partition(":")
    return Identifier(type, value)


def row_of(interaction: Stored) -> Document:
    """An interaction."""
    row: Document = {
        "_id": interaction.interaction_id,
        "p": interaction.profile_id,
        "t": interaction.at,
        "n": interaction.name,
        "b": interaction.body,
    }
    if interaction.consent:
        row["c"] = True
    if interaction.handed_to is not None:
        row["h"] = interaction.handed_to
    return row


def rewritten(interaction: Stored) -> Document:
    """What becomes of its document where it shows somebody or something else now."""
    change: Document = {"$set": row_of(interaction)}
    if interaction.handed_to is None:
        change["$unset"] = {"h": ""}
    return change


def holding_of(node: Identifier, has: Owner | Device) -> Document:
    """Who has an identifier, or how a device stands; what is false or empty is left out."""
    document: Document = {"_id": key_of(node), "p": has.profile_id}
    if isinstance(has, Owner):
        if has.unvouched:
            document["u"] = True
        if has.contested:
            document["c"] = True
        if has.claimed:
            document["r"] = list(has.claimed)
        return document
    if has.own:
        document["o"] = has.own
    if has.marks:
        document["m"] = msgspec.to_builtins(has.marks)
    if has.lead:
        document["l"] = msgspec.to_builtins(has.lead)
    if has.shared:
        document["s"] = True
    if has.decided:
        document["d"] = True
    return document


def device_of(document: Document) -> Device:
    """The inverse of ``holding_of``, of a device."""
    marks, lead = document.get("m"), document.get("l")
    return Device(
        document["p"],
        document.get("o", ""),
        msgspec.convert(marks, list[Mark]) if marks else [],
        msgspec.convert(lead, Mark) if lead else None,
        "s" in document,
        "d" in document,
    )
