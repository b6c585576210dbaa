"""Every process of Regulars as data: its name, how to start it, and where it answers.

The command line, the local supervisor and the deployment checks all read this table.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True)
class ProcessSpec:
    """One process. ``target`` is ``module:function``; ``port`` is the default address."""

    name: str
    kind: Literal["api", "worker", "console", "listener"]
    target: str
    port: int
    port_setting: str
    """The environment variable that changes the port."""
    count_setting: str | None = None
    """The environment variable that has several processes serve the port; None: always one."""
    further_ports: tuple[int, ...] = ()
    """Where it listens besides, for others than HTTP."""

    @property
    def command(self) -> Sequence[str]:
        """The arguments of ``regulars`` that start it."""
        own = self.kind in ("console", "listener")
        return (self.name,) if own else (self.kind, self.name)


def _spec(
    kind: Literal["api", "worker", "console", "listener"], name: str, target: str, port: int
) -> ProcessSpec:
    setting = name.replace("-", "_").upper() + ("_WORKER" if kind == "worker" else "")
    return ProcessSpec(name, kind, target, port, f"REGULARS_{setting}_PORT")


APIS = (
    replace(
        _spec("api", "ingest", "services.ingest.api:create_app", 8100),
        count_setting="REGULARS_INGEST_PROCESSES",
    ),
    _spec("api", "profile", "services.profile.api:create_app", 8200),
    _spec("api", "segmentation", "services.segmentation.api:create_app", 8300),
    _spec("api", "notifier", "services.notifier.api:create_app", 8400),
    _spec("api", "reporting", "services.reporting.api:create_app", 8500),
)
WORKERS = (
    _spec("worker", "dead-letters", "services.ingest.dead_letters.worker:create_worker", 8110),
    _spec("worker", "profile-resolve", "services.profile.resolve.worker:create_worker", 8210),
    _spec("worker", "profile-build", "services.profile.build.worker:create_worker", 8220),
    _spec("worker", "segmentation", "services.segmentation.worker:create_worker", 8310),
    _spec("worker", "notifier", "services.notifier.worker:create_worker", 8410),
    _spec("worker", "reporting", "services.reporting.worker:create_worker", 8510),
)
CONSOLE = _spec("console", "console", "services.console.api:create_app", 8000)
INBOUND_MAIL = replace(
    _spec("listener", "inbound-mail", "services.ingest.inbound_mail.api:create_app", 8120),
    further_ports=(2525,),
)
WEBHOOKS = _spec("worker", "profile-feed", "services.profile.feed.worker:create_worker", 8230)
OPTIONAL = (INBOUND_MAIL, WEBHOOKS)
"""Only who needs them runs them."""
EVERY_WORKER = (*WORKERS, WEBHOOKS)
ALL = (*WORKERS, *APIS, CONSOLE)
