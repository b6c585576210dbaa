"""Amazon SNS over HTTPS: is this message signed by SNS, and from our topic?

Source: "Verifying the signatures of Amazon SNS messages" and "Parsing Amazon SNS message
formats" in the SNS developer guide. The certificate's address stands in the message itself,
so only addresses of SNS are asked, over https and through the guarded client; a certificate
is kept until it ends. Anybody with an account can have SNS sign for a topic of their own,
so that a message must also be of a topic that the source names.
"""

import binascii
import re
from base64 import b64decode
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

import httpx
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.x509 import Certificate, load_pem_x509_certificate

from schemas.validation import Fault
from services.ingest.handler import Unavailable
from services.ingest.hooks.reading import at
from services.ingest.hooks.signature import BAD_SIGNATURE
from services.runtime.outbound import Fetch

CONFIRMATION = "SubscriptionConfirmation"
NOTIFICATION = "Notification"
_ENDED = "UnsubscribeConfirmation"
_HOST = re.compile(r"sns\.[a-z0-9][a-z0-9-]{2,30}\.amazonaws\.com(\.cn)?")
_SIGNED = {
    NOTIFICATION: ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    CONFIRMATION: (
        "Message",
        "MessageId",
        "SubscribeURL",
        "Timestamp",
        "Token",
        "TopicArn",
        "Type",
    ),
}
_SIGNED[_ENDED] = _SIGNED[CONFIRMATION]
_HASHES = {"1": SHA1, "2": SHA256}
_KEPT = 50


class Sns:
    """Checks messages; ``fetch`` reaches the outside."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._certificates: dict[str, Certificate] = {}

    async def check(self, said: Any, topics: Collection[str], now: datetime) -> Fault | None:
        """None for a message that SNS signed for one of ``topics``.

        Codes: bad_signature, wrong_topic, bad_certificate. Raises ``Unavailable`` when the
        certificate cannot be fetched now.
        """
        kind = at(said, "Type")
        if not isinstance(kind, str) or kind not in _SIGNED:
            return BAD_SIGNATURE
        if said.get("TopicArn") not in topics:
            return Fault("wrong_topic", "The message's topic is none of options.topic_arns.")
        url = said.get("SigningCertURL", said.get("SigningCertUrl"))
        if not is_of_sns(url) or not str(url).endswith(".pem"):
            return Fault("bad_certificate", "The certificate's address is none of SNS.")
        certificate = await self._certificate(str(url))
        if certificate is None:
            return Fault("bad_certificate", "There is no certificate at its address.")
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            return Fault("bad_certificate", "The certificate has ended, or not begun.")
        return None if _signed(said, certificate) else BAD_SIGNATURE

    async def confirm(self, said: Any) -> Fault | None:
        """Visit a checked confirmation's ``SubscribeURL``, which begins the subscription.

        Code: bad_confirmation. Raises ``Unavailable`` when that fails now.
        """
        url = at(said, "SubscribeURL")
        if not is_of_sns(url):
            return Fault("bad_confirmation", "SubscribeURL is no address of SNS.")
        reply = await self._fetch.request("GET", str(url))
        if isinstance(reply, Fault):
            raise Unavailable(f"SNS could not be told: {reply.code}.")
        if reply.status != 200:
            raise Unavailable(f"SNS answered {reply.status}.")
        return None

    async def _certificate(self, url: str) -> Certificate | None:
        kept = self._certificates.get(url)
        if kept is not None:
            return kept
        reply = await self._fetch.request("GET", url)
        if isinstance(reply, Fault):
            raise Unavailable(f"The certificate could not be fetched: {reply.code}.")
        if reply.status >= 500:
            raise Unavailable(f"The certificate could not be fetched: {reply.status}.")
        try:
            certificate = load_pem_x509_certificate(reply.body)
        except ValueError:
            return None
        if len(self._certificates) >= _KEPT:
            self._certificates.clear()
        self._certificates[url] = certificate
        return certificate


def is_of_sns(url: Any) -> bool:
    """Whether ``url`` is an https address of SNS itself, and nothing that only looks like one."""
    if not isinstance(url, str) or len(url) > 2_000:
        return False
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, ValueError):
        return False
    return (
        parsed.scheme == "https"
        and not parsed.userinfo
        and parsed.port in (None, 443)
        and _HOST.fullmatch(parsed.host) is not None
    )


def canonical(said: Mapping[str, Any]) -> bytes | None:
    """What SNS signs: a line with the name and a line with the value of each field; or None."""
    lines: list[str] = []
    for name in _SIGNED[said["Type"]]:
        value = said.get(name)
        if value is None and name == "Subject":
            continue
        if not isinstance(value, str):
            return None
        lines += (name, value)
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogatepass")


def _signed(said: Mapping[str, Any], certificate: Certificate) -> bool:
    message = canonical(said)
    hash_ = _HASHES.get(str(said.get("SignatureVersion")))
    key = certificate.public_key()
    if message is None or hash_ is None or not isinstance(key, RSAPublicKey):
        return False
    try:
        signature = b64decode(str(said.get("Signature")), validate=True)
        key.verify(signature, message, PKCS1v15(), hash_())
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True
