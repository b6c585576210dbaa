"""Which of the links that resolve refused are told of: not the account that an alias leaves open.

An alias does not say which kind of id its ``previousId`` is. So resolve reads it as a device and,
from an authenticated source, as an account, too (``link_of``), of which one person has but one:
that is refused, and kept, since people have to decide should there ever be such an account. Until
then the device is all that it named, and that is linked.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from schemas.messages import Identifier
from services.profile.resolve.model import Device, Owner, Refusal


class Owners(Protocol):
    """``IdentityStore``."""

    async def owners(
        self, nodes: Collection[Identifier]
    ) -> tuple[dict[Identifier, Owner], dict[Identifier, Device]]:
        """Who has each of these, persons' identifiers and devices apart."""


async def told(identities: Owners, refusals: Sequence[Refusal]) -> list[Refusal]:
    """Those of a person's refusals that say why somebody is not one person."""
    claimed = {one for each in refusals for one in _claims(each)}
    if not claimed:
        return list(refusals)
    owners, devices = await identities.owners([*claimed, *map(_device, claimed)])
    return [each for each in refusals if not _is_open(each, owners, devices)]


def _claims(refusal: Refusal) -> list[Identifier]:
    """The accounts that were let go, where nothing else was."""
    let_go = refusal.identifiers[refusal.accepted :]
    accounts = [one for one in let_go if one.type == "user_id"]
    return accounts if refusal.because == "limit" and len(accounts) == len(let_go) else []


def _device(account: Identifier) -> Identifier:
    return Identifier("anonymous_id", account.value)


def _is_open(
    refusal: Refusal, owners: Mapping[Identifier, Owner], devices: Mapping[Identifier, Device]
) -> bool:
    claims = _claims(refusal)
    return bool(claims) and all(
        _device(one) in devices and not (one in owners and owners[one].profile_id) for one in claims
    )
