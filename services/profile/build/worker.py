"""``regulars worker profile-build``: the handler on its stage. Wiring only."""

import asyncio
from typing import Any

import faust
from faust import Service

from services.profile.build.changes import Limits
from services.profile.build.handler import NAME, TOPICS, Build
from services.profile.build.inbox import read
from services.profile.build.kept import LAYOUT
from services.profile.build.readiness import Herald, Readiness
from services.profile.build.rules import devices
from services.profile.build.rules.consent import Policy
from services.profile.build.store import HistoryStore, ProfileStore
from services.profile.consent.store import ConsentStore
from services.profile.resolve.handler import NAME as RESOLVE
from services.profile.resolve.store import IdentityStore
from services.profile.settings import ProfileSettings
from services.runtime.definitions import Definitions
from services.runtime.worker import Blueprint, Parts, Wired
from services.runtime.worker import create_worker as host

_LOOK_SECONDS = 0.2


def create_worker(settings: ProfileSettings | None = None) -> faust.App:
    """The Faust app of the build worker."""
    settings = settings or ProfileSettings()
    limits = Limits(cached=settings.profile_cached_profiles)
    policy = Policy.of(settings.profile_confirmed_consent)

    def wire(parts: Parts) -> Wired:
        profiles = ProfileStore(parts.database)
        identities = IdentityStore(parts.database)
        history = HistoryStore(parts.database, identities, settings.namespace + RESOLVE)
        base = settings.base_currency
        handler = Build(
            profiles, history, parts.definitions, limits, policy=policy, base_currency=base
        )
        handler.wake = parts.complete

        async def prepare() -> None:
            await identities.prepare()
            await profiles.prepare()
            await ConsentStore(parts.database).prepare()
            await asyncio.to_thread(devices.load)

        readiness = Readiness(profiles, parts.definitions, parts.publisher)
        services = [Watch(handler, parts.definitions), Herald(readiness, handler.sweep)]
        return Wired(
            handler=handler,
            prepare=prepare,
            services=services,
            ahead=lambda record, now: read(record),
        )

    blueprint = Blueprint(
        name=NAME,
        database="profile",
        topics=TOPICS,
        port=settings.profile_build_worker_port,
        wire=wire,
        layout=LAYOUT,
        renews=True,
        kinds=("computed_trait", "trait", "rebuild", "rates"),
    )
    return host(blueprint, settings)


class Watch(Service):
    """Gives idle partitions a turn when computed traits have changed."""

    abstract = False

    def __init__(self, handler: Build, definitions: Definitions, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._handler = handler
        self._definitions = definitions

    @Service.task
    async def _look(self) -> None:
        while not self.should_stop:
            if self._handler.sweep.is_behind():
                self._handler.ask_for_turns()
                await self.sleep(_LOOK_SECONDS)
            else:
                await self.wait(self._definitions.changed(self._definitions.revision))
