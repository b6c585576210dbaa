"""The demo's keys and tokens, and the settings that its services run with.

They are public and guard nothing: everything listens on 127.0.0.1.
"""

import json
from collections.abc import Mapping

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
READER, MARKETER, SUPPORT = "demo-reader", "demo-marketer", "demo-support"
_SECRET = "demo-secret-that-signs-unsubscribe-links"
_WORKER_ID = "demo"


def environment(settings: Settings, where: Mapping[str, Address]) -> dict[str, str]:
    """The environment of every service, so that they find the servers and one another."""
    return {
        **{address.setting: str(address.port) for address in where.values()},
        "REGULARS_KAFKA_URL": settings.kafka_url,
        "REGULARS_MONGO_URL": settings.mongo_url,
        "REGULARS_NAMESPACE": settings.namespace,
        # A restarted worker is the same member of its group: it gets its partitions back.
        "REGULARS_WORKER_ID": _WORKER_ID,
        "REGULARS_LOG_FORMAT": "text",
        "REGULARS_WRITE_KEYS": json.dumps({digest(WRITE_KEY): SOURCE}),
        "REGULARS_TOKENS": json.dumps({digest(token): role for token, role in TOKENS.items()}),
        "REGULARS_SMTP_HOST": HOST,
        "REGULARS_NOTIFIER_SECRET": _SECRET,
        "REGULARS_NOTIFIER_PUBLIC_URL": url(where["notifier"]),
        "REGULARS_NOTIFIER_PROFILE_URL": url(where["profile"]),
        "REGULARS_NOTIFIER_PROFILE_TOKEN": READER,
        "REGULARS_CONSOLE_TOKEN": SUPPORT,
        **{
            f"REGULARS_CONSOLE_{name.upper()}_URL": url(where[name])
            for name in ("profile", "segmentation", "notifier", "reporting")
        },
    }


def mail_sink(where: Mapping[str, Address]) -> list[str]:
    """The arguments of Python that start the mail sink."""
    ports = ("--smtp-port", str(where[SMTP].port), "--http-port", str(where[MAIL].port))
    return ["-m", "deploy.demo.mailsink", *ports]
