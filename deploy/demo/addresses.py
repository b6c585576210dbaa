"""Where everything of the demo listens on 127.0.0.1, and the settings that move it."""

import os
from collections.abc import Mapping
from typing import NamedTuple

from deploy.local import kafka, mongod
from deploy.local.ports import HOST, free_port
from services import processes
from services.processes import ProcessSpec

MAIL = "mail"
"""The mail sink's pages; ``SMTP`` is where it takes mail."""
SMTP = "smtp"
KAFKA = "kafka"
CONTROLLER = "kafka-controller"
MONGO = "mongo"


class Address(NamedTuple):
    """A port and the environment variable that changes it."""

    port: int
    setting: str


def name_of(spec: ProcessSpec) -> str:
    """A name of its own for each process: some workers are named as an API is."""
    shared = any(spec.name == api.name for api in processes.APIS)
    return f"{spec.name}-worker" if spec.kind == "worker" and shared else spec.name


def addresses(
    ports: Mapping[str, int] | None = None, environ: Mapping[str, str] | None = None
) -> dict[str, Address]:
    """Every address by name: ``ports`` first, then the environment, then the defaults."""
    environ = os.environ if environ is None else environ
    known = {
        MONGO: Address(mongod.PORT, mongod.PORT_VARIABLE),
        KAFKA: Address(kafka.PORT, kafka.PORT_VARIABLE),
        SMTP: Address(1025, "REGULARS_SMTP_PORT"),
        MAIL: Address(1080, "REGULARS_MAIL_PORT"),
        **{
            name_of(spec): Address(spec.port, spec.port_setting)
            for spec in (*processes.ALL, processes.WEBHOOKS)
        },
    }
    found = {
        name: Address(int(environ.get(setting) or port), setting)
        for name, (port, setting) in known.items()
    }
    found[CONTROLLER] = Address(found[KAFKA].port + 1, found[KAFKA].setting)
    for name, port in (ports or {}).items():
        found[name] = Address(port, found[name].setting)
    return found


def free_ports() -> dict[str, int]:
    """A free port for each name, for runs beside others."""
    taken: dict[str, int] = {}
    for name in addresses(environ={}):
        while (port := free_port()) in taken.values():
            pass
        taken[name] = port
    return taken


def url(address: Address) -> str:
    """Where a browser finds it."""
    return f"http://{HOST}:{address.port}"
