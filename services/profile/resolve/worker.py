"""``regulars worker profile-resolve``: the handler on its stage. Wiring only."""

from datetime import timedelta

import faust

from services.profile.resolve.handler import NAME, TOPICS, ResolveHandler
from services.profile.resolve.senders import Declared
from services.profile.resolve.store import IdentityStore
from services.profile.settings import ProfileSettings
from services.runtime.worker import Blueprint, Parts, Wired
from services.runtime.worker import create_worker as host


def create_worker(settings: ProfileSettings | None = None) -> faust.App:
    """The Faust app of the resolve worker."""
    settings = settings or ProfileSettings()

    def wire(parts: Parts) -> Wired:
        store = IdentityStore(parts.database)
        senders = Declared(
            parts.definitions,
            settings.profile_open_sources,
            settings.profile_default_region,
            settings.profile_blocked_identifiers,
        )
        again = timedelta(seconds=settings.profile_identity_again_s)
        handler = ResolveHandler(store, senders, again=again)
        return Wired(handler=handler, prepare=store.prepare, ahead=handler.ahead)

    blueprint = Blueprint(
        name=NAME,
        database="profile",
        topics=TOPICS,
        port=settings.profile_resolve_worker_port,
        wire=wire,
        kinds=("source",),
    )
    return host(blueprint, settings)
