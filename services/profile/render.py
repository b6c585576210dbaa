"""From what is stored to what the API answers; pure."""

from collections.abc import Collection
from typing import Any

import msgspec

from schemas.messages import Interaction
from services.profile.build.kept import Kept
from services.profile.build.rules.computed import Traits
from services.profile.build.rules.consent import Policy
from services.profile.build.rules.handing import known_to
from services.profile.build.rules.publication import value_of
from services.profile.build.rules.view import profile_of
from services.profile.commerce.rules.rates import valued

_NONE = Traits({})
_interaction_decoder = msgspec.json.Decoder(Interaction)


def profile(profile_id: str, kept: Kept, policy: Policy) -> dict[str, Any]:
    """A profile as ``answers.Profile`` declares it."""
    known = valued(profile_of(profile_id, kept.state, _NONE, policy), kept.worth)
    fields = {name: getattr(known, name) for name in known.__struct_fields__}
    return fields | {
        "version": kept.version,
        "computed": {key: value_of(value) for key, value in kept.state.computed.items()},
        "merged_from": kept.members,
        "flags": kept.state.flags,
        "as_of": None,
    }


def interaction(body: bytes, profile_ids: Collection[str]) -> dict[str, Any]:
    """A stored interaction as ``answers.Interaction`` declares it, to the person of these ids;
    the event verbatim."""
    said = known_to(_interaction_decoder.decode(body), profile_ids)
    return {name: getattr(said, name) for name in said.__struct_fields__}
