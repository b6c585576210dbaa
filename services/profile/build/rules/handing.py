"""Orders that were handed on: one counts for who has it now, with all that was told of it.

resolve says of each event of such an order who has it (``Interaction.handed_to``). On the
history of whom it was told of, the event stays, and all but the order counts there; of the
order who has it takes in everything.
"""

from collections.abc import Collection, Mapping
from contextlib import suppress

from msgspec.structs import replace

from schemas.messages import Interaction
from services.profile.build.model import State
from services.profile.build.rules.body import UNREADABLE, loose_properties
from services.profile.build.rules.computed import Traits
from services.profile.build.rules.fold import fold
from services.profile.build.rules.orders import ORDER_EVENTS, fold_order
from services.profile.build.rules.values import utc


def whole(said: Interaction) -> Interaction:
    """As it is to who has the order and told of it as well."""
    return replace(said, handed_to=None)


def known_to(said: Interaction, members: Collection[str]) -> Interaction:
    """What a person, of these former ids, is told of an order: one may be handed on to oneself,
    after a merge."""
    return whole(said) if said.handed_to in (said.profile_id, *members) else said


def take(states: Mapping[str, State], placed: str, said: Interaction, traits: Traits) -> None:
    """Take in what was told of an order that was handed on.

    ``states`` by every id of each person; ``placed`` is whose history it was read with: of whom
    it was told of, or of who has the order. One person may be both.
    """
    teller, has = states.get(said.profile_id), states.get(said.handed_to or "")
    if placed == said.profile_id:
        fold(states[placed], whole(said) if has is teller else said, traits, set())
    elif has is not teller:
        receive(states[placed], said)


def receive(state: State, said: Interaction) -> None:
    """Take in what was told of an order to whom it was before: of that the order alone."""
    if said.name not in ORDER_EVENTS:
        return
    with suppress(*UNREADABLE):  # What is wrong with it is counted where it stands.
        message = utc(said.at), said.interaction_id
        fold_order(state, said.name, message, loose_properties(said.event), received=True)
