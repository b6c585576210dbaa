"""Double opt-in: which of a person's grants have to be confirmed, and so asked about."""

from collections.abc import Iterable, Iterator

from schemas.messages import ConsentRequested, Interaction
from services.profile.build.kept import Kept
from services.profile.build.rules.consent import Policy, refused_at, standing
from services.profile.build.rules.mailbox import mailbox, taken_at
from services.profile.build.rules.values import utc
from services.profile.consent.model import parts_of
from services.profile.consent.rules import UPDATED, WRITTEN

_PREFIX = "consent."


def requests_of(
    profile_id: str, kept: Kept, touched: Iterable[str], how: tuple[Policy, Iterable[Interaction]]
) -> Iterator[ConsentRequested]:
    """What of the ``touched`` consent is pending; ``how``: by which policy, and what was said.

    Whoever was imported is not asked: nobody is written to because of history. Nor is who has
    no address yet: they are once they have one, since that touches what is pending.
    """
    policy, said_now = how
    for name in touched:
        if not name.startswith(_PREFIX):
            continue
        key = name.removeprefix(_PREFIX)
        channel, purpose = parts_of(key)
        said = standing(kept.state, key, policy)
        if said.state != "pending" or said.since is None or channel not in WRITTEN:
            continue
        address = mailbox(kept.state.traits, kept.state.identifiers) if channel == "email" else ""
        if said.by == "import" or (channel == "email" and not address):
            continue
        since, taken = utc(said.since), taken_at(kept.state.traits)
        yield ConsentRequested(
            profile_id=profile_id,
            channel=channel,
            purpose=purpose,
            statement_id=said.message_id,
            statement_at=since,
            since=refused_at(kept.state, key),
            merged_from=kept.members,
            address=address,
            asked_at=None if taken is None or taken <= since else taken,
            explicit=any(
                one.name == UPDATED and one.interaction_id == said.message_id for one in said_now
            ),
        )
