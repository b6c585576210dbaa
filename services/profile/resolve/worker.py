"""``regulars worker profile-resolve``: the handler on its stage. Wiring only."""

import faust

from services.profile.resolve.handler import NAME, TOPICS, ResolveHandler
from services.profile.resolve.store import IdentityStore
from services.profile.settings import ProfileSettings
from services.runtime.worker import Blueprint, Parts, Wired
from services.runtime.worker import create_worker as host


def create_worker(settings: ProfileSettings | None = None) -> faust.App:
    """The Faust app of the resolve worker."""
    settings = settings or ProfileSettings()

    def wire(parts: Parts) -> Wired:
        store = IdentityStore(parts.database)
        return Wired(handler=ResolveHandler(store), prepare=store.prepare)

    blueprint = Blueprint(
        name=NAME,
        database="profile",
        topics=TOPICS,
        port=settings.profile_resolve_worker_port,
        wire=wire,
    )
    return host(blueprint, settings)
