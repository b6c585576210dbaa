"""What a person may ask of us: access, portability and erasure."""

from datetime import datetime
from typing import Any, Literal

from msgspec import Struct, field


class SubjectIdentity(Struct, kw_only=True, omit_defaults=True, frozen=True):
    """One name of the person whom a privacy request is about (OpenDSR ``subject_identities``)."""

    identity_type: str
    """``email``, ``phone_number``, ``controller_customer_id``, or another kind's own name."""
    identity_value: str
    identity_format: Literal["raw", "sha1", "md5", "sha256"] = "raw"


class PrivacyRequest(Struct, kw_only=True, omit_defaults=True):
    """``regulars.privacy.requested.v1`` on ``privacy.requests``: somebody's right, asked for.

    The fields of an OpenDSR 2.0 request where it has them.
    """

    subject_request_id: str
    """Unique to the request: the same one again is the same request."""
    subject_request_type: Literal["access", "portability", "erasure"]
    submitted_time: datetime
    regulation: str = "gdpr"
    subject_identities: list[SubjectIdentity] = field(default_factory=list)
    """Whom it is about; nobody in particular when ``scope`` is ``source``."""
    scope: Literal["person", "source"] = "person"
    """``source``: all that ever came from ``source``, since the shop itself has left."""
    source: str = ""
    """The name of the source that passed the request on."""
    extensions: dict[str, Any] = field(default_factory=dict)
    """What the provider said besides, by its name: orders to erase, the shop's id."""
