"""Mail that people write to the shop: a MIME message a call, by a provider or our own listener.

Taken as it is (``message/rfc822``), or from the form of a provider that receives mail for
the shop: field ``email`` (SendGrid Inbound Parse, raw), ``body-mime`` (Mailgun routes), or
``RawEmail`` of a JSON body (Postmark). Nobody signs the same way, so secret ``token`` stands in the
address that is given to the provider: ``?token=...``, or the password of HTTP Basic.

It becomes ``Email Received``. Who wrote it is who its From says; whether that is true, the
properties ``spf``, ``dkim`` and ``dmarc`` tell, as the receiving server noted them.
"""

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

import python_multipart
from msgspec import Struct
from python_multipart.exceptions import FormParserError

from schemas.validation import Fault
from services.ingest.hooks.body import present, read
from services.ingest.hooks.event import context, message_id, time_of
from services.ingest.hooks.letters import read_letter
from services.ingest.hooks.model import MAX_MAIL, Delivery, Options, Secrets, Translated
from services.ingest.hooks.presented import BAD_SECRET, shown, token
from services.ingest.hooks.reading import at, faults
from services.ingest.hooks.signature import missing_secret

KIND = "mail"
RECEIVED = "Email Received"
_FIELDS = ("email", "body-mime")
_NONE = Fault("no_mail", "Post the mail as message/rfc822, or as field email or body-mime.")


class MailOptions(Struct, forbid_unknown_fields=True):
    """A source of this kind has no options."""


class Mail:
    """See ``services.ingest.hooks.model.Hook``."""

    kind = KIND
    secrets = ("token",)
    methods = frozenset({"POST"})

    def check(self, options: Any) -> list[Fault]:
        """None."""
        return faults(options, MailOptions)

    def verify(self, delivery: Delivery, secrets: Secrets, options: Options) -> Fault | None:
        """Codes: missing_secret, bad_secret."""
        tokens = secrets("token")
        if not tokens:
            return missing_secret("token")
        return None if shown(tokens, token(delivery)) else BAD_SECRET

    def translate(self, delivery: Delivery, options: Options) -> Translated | Fault:
        """One event. Codes: no_mail, bad_form, bad_mime, and those of ``body.read``."""
        raw = _mail_in(delivery)
        if isinstance(raw, Fault):
            return raw
        letter = read_letter(raw, delivery.received_at)
        if isinstance(letter, Fault):
            return letter if letter.code == "bad_mime" else Translated(ignored=[letter])
        event = {
            "type": "track",
            "event": RECEIVED,
            "messageId": message_id(KIND, letter.key),
            "timestamp": time_of(letter.at),
            "properties": present(letter.properties),
            "context": context(KIND, {"email": letter.sender}),
        }
        return Translated([event])


def _mail_in(delivery: Delivery) -> bytes | Fault:
    content_type = delivery.headers.get("content-type", "")
    kind = content_type.partition(";")[0].strip().lower()
    if kind in ("message/rfc822", "text/plain", "application/octet-stream"):
        return delivery.body or _NONE
    reading = _FORMS.get(kind)
    return _NONE if reading is None else reading(delivery.body, content_type) or _NONE


def _multipart(body: bytes, content_type: str) -> bytes | Fault | None:
    found: dict[str, bytes] = {}

    def keep_field(field: Any) -> None:
        name = (field.field_name or b"").decode("latin-1")
        if name in _FIELDS and field.value:
            found[name] = field.value

    def keep_file(file: Any) -> None:
        name = (file.field_name or b"").decode("latin-1")
        if name in _FIELDS:
            file.file_object.seek(0)
            found[name] = file.file_object.read()
        file.close()

    try:
        parser = python_multipart.create_form_parser(
            {"Content-Type": content_type.encode("latin-1", "replace")},
            keep_field,
            keep_file,
            config={"MAX_MEMORY_FILE_SIZE": MAX_MAIL},
        )
        parser.write(body)
        parser.finalize()
        parser.close()
    except (FormParserError, ValueError):
        return Fault("bad_form", "The form cannot be read.")
    return _first(found)


def _urlencoded(body: bytes, _content_type: str) -> bytes | Fault | None:
    try:
        pairs = parse_qsl(body.decode("ascii"), max_num_fields=1_000, errors="surrogateescape")
    except ValueError:
        return Fault("bad_form", "The form cannot be read.")
    return _first({name: value.encode("utf-8", "surrogateescape") for name, value in pairs})


def _json(body: bytes, _content_type: str) -> bytes | Fault | None:
    said = read(body)
    if isinstance(said, Fault):
        return said
    raw = at(said, "RawEmail")
    return raw.encode("utf-8", "replace") if isinstance(raw, str) else None


def _first(found: dict[str, bytes]) -> bytes | None:
    return next((found[name] for name in _FIELDS if found.get(name)), None)


_FORMS: dict[str, Callable[[bytes, str], bytes | Fault | None]] = {
    "multipart/form-data": _multipart,
    "application/x-www-form-urlencoded": _urlencoded,
    "application/json": _json,
}
