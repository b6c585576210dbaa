"""Double opt-in: which of a person's grants have to be confirmed, and so asked about."""

from collections.abc import Iterable, Iterator

from schemas.messages import ConsentRequested
from services.profile.build.model import Kept
from services.profile.build.rules.consent import Policy, refused_at, standing
from services.profile.build.rules.values import utc
from services.profile.consent.model import parts_of
from services.profile.consent.rules import WRITTEN

_PREFIX = "consent."


def requests_of(
    profile_id: str, kept: Kept, touched: Iterable[str], policy: Policy
) -> Iterator[ConsentRequested]:
    """What of the ``touched`` consent is pending.

    Whoever was imported is not asked: nobody is written to because of history.
    """
    for name in touched:
        if not name.startswith(_PREFIX):
            continue
        key = name.removeprefix(_PREFIX)
        channel, purpose = parts_of(key)
        said = standing(kept.state, key, policy)
        if said.state != "pending" or said.since is None or channel not in WRITTEN:
            continue
        if said.by == "import":
            continue
        yield ConsentRequested(
            profile_id=profile_id,
            channel=channel,
            purpose=purpose,
            statement_id=said.message_id,
            statement_at=utc(said.since),
            since=refused_at(kept.state, key),
            merged_from=kept.members,
        )
