"""What the routes work with, made once when the API starts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Depends, Request

from services.notifier.limiter import Limiter
from services.notifier.profiles import Profiles
from services.notifier.publications import Publications
from services.notifier.records import Records
from services.notifier.settings import NotifierSettings


@dataclass
class Office:
    """The API's means."""

    settings: NotifierSettings
    secret: bytes
    records: Records
    publications: Publications
    profiles: Profiles
    links: Limiter = field(default_factory=Limiter)
    """Of the confirmation mails."""
    segments: Mapping[tuple[str, str], Any] | None = None
    """The definitions of segments by (kind, key); None until they have been read."""


def _office(request: Request) -> Office:
    office: Office = request.app.state.office
    return office


Means = Annotated[Office, Depends(_office)]
"""A route's parameter of this type is the API's ``Office``."""
