"""The demo's keys and tokens, and the settings that its services run with.

They are public and guard nothing: everything listens on 127.0.0.1.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from cryptography.fernet import Fernet

from deploy.demo.addresses import MAIL, SMTP, Address, url
from deploy.local.ports import HOST
from services.runtime.keys import digest
from services.runtime.settings import Settings

WRITE_KEY = "demo-write-key"
SOURCE = "storefront"
"""The name of the source that holds the key."""
TOKENS = {
    "demo-reader": "reader",
    "demo-marketer": "marketer",
    "demo-support": "support",
    "demo-admin": "admin",
}
"""Bearer tokens and their roles."""
READER, MARKETER, SUPPORT, ADMIN = "demo-reader", "demo-marketer", "demo-support", "demo-admin"
_SECRET = "demo-secret-that-signs-unsubscribe-links"
_WORKER_ID = "demo"
_NICENESS = 10
"""Of workers: a read waits a third as long while they are as busy as can be."""
SECRET_KEY = "secret-key"
"""The file that holds the key for the secrets of sources, the one thing here that is secret."""


def environment(
    settings: Settings, where: Mapping[str, Address], secret_key: str
) -> dict[str, str]:
    """The environment of every service, so that they find the servers and one another.

    ``secret_key`` seals the secrets of sources.
    """
    return {
        **{address.setting: str(address.port) for address in where.values()},
        "REGULARS_KAFKA_URL": settings.kafka_url,
        "REGULARS_MONGO_URL": settings.mongo_url,
        "REGULARS_NAMESPACE": settings.namespace,
        # A restarted worker is the same member of its group: it gets its partitions back.
        "REGULARS_WORKER_ID": _WORKER_ID,
        "REGULARS_WORKER_NICENESS": str(_NICENESS),
        "REGULARS_LOG_FORMAT": "text",
        "REGULARS_WRITE_KEYS": json.dumps({digest(WRITE_KEY): SOURCE}),
        "REGULARS_SECRET_KEYS": json.dumps([secret_key]),
        "REGULARS_WEBHOOK_ALLOWED": json.dumps([HOST, "localhost"]),
        "REGULARS_TOKENS": json.dumps({digest(token): role for token, role in TOKENS.items()}),
        "REGULARS_SMTP_HOST": HOST,
        "REGULARS_NOTIFIER_SECRET": _SECRET,
        "REGULARS_NOTIFIER_PUBLIC_URL": url(where["notifier"]),
        "REGULARS_NOTIFIER_PROFILE_URL": url(where["profile"]),
        "REGULARS_PROFILE_SEGMENTATION_URL": url(where["segmentation"]),
        "REGULARS_NOTIFIER_PROFILE_TOKEN": READER,
        "REGULARS_CONSOLE_TOKEN": ADMIN,
        **{
            f"REGULARS_CONSOLE_{name.upper()}_URL": url(where[name])
            for name in ("ingest", "profile", "segmentation", "notifier", "reporting")
        },
    }


def secret_key(data_dir: Path) -> str:
    """The key that seals secrets in what is stored there: made once, and then kept with it."""
    path = data_dir / SECRET_KEY
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        data_dir.mkdir(parents=True, exist_ok=True)
        key = Fernet.generate_key().decode()
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(f"{key}\n")
        return key


def mail_sink(where: Mapping[str, Address]) -> list[str]:
    """The arguments of Python that start the mail sink."""
    ports = ("--smtp-port", str(where[SMTP].port), "--http-port", str(where[MAIL].port))
    return ["-m", "deploy.demo.mailsink", *ports]
