"""What the command needs, from the settings of a deployment."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from services.profile.build.rules.consent import Policy
from services.profile.build.rules.declared import declared_traits
from services.profile.build.store import HistoryStore, ProfileStore
from services.profile.build.sweep import EVERYTHING
from services.profile.repair.asking import Desk
from services.profile.repair.proving import Proof
from services.profile.resolve.handler import NAME as RESOLVE
from services.profile.resolve.store import IdentityStore
from services.profile.settings import ProfileSettings
from services.runtime.mongo import connect

Judge = tuple[Proof, Callable[[], Awaitable[int]], Callable[[str], Awaitable[str | None]]]


@asynccontextmanager
async def desk(settings: ProfileSettings | None = None) -> AsyncIterator[Desk]:
    """Where to ask for rebuilds."""
    settings = settings or ProfileSettings()
    client = connect(settings)
    try:
        yield Desk(settings, client[settings.database("profile")])
    finally:
        client.close()


@asynccontextmanager
async def proof(settings: ProfileSettings | None = None) -> AsyncIterator[Judge]:
    """(the judge, how many profiles there are, the id that somebody has now)."""
    settings = settings or ProfileSettings()
    client = connect(settings)
    try:
        database = client[settings.database("profile")]
        definitions = await Desk(settings, database).definitions()
        everything = definitions.current.get(EVERYTHING)
        traits = declared_traits(
            definitions.current.values(),
            str(Policy.of(settings.profile_confirmed_consent)),
            0 if everything is None else everything.version,
        )
        profiles, identities = ProfileStore(database), IdentityStore(database)
        history = HistoryStore(database, identities, settings.namespace + RESOLVE)

        async def total() -> int:
            return (await profiles.coverage(())).of

        async def current(profile_id: str) -> str | None:
            found = (await profiles.profiles([profile_id])).get(profile_id)
            return None if found is None else found[0]

        yield Proof(client, profiles, history, traits), total, current
    finally:
        client.close()
