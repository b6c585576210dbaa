"""The profile API, as the sender asks it for one person at the moment of sending."""

import logging
from urllib.parse import quote

import httpx
import msgspec

from services.notifier.model import Recipient
from services.notifier.settings import NotifierSettings

_decoder = msgspec.json.Decoder(Recipient)
_GONE = frozenset({404, 410})


class ProfilesAway(Exception):
    """No usable answer: nobody may be written to until there is one."""


class Profiles:
    """A pooled HTTP client of the profile API."""

    def __init__(self, settings: NotifierSettings) -> None:
        token = settings.notifier_profile_token.get_secret_value()
        # At INFO it writes a line with the profile's id for every request.
        logging.getLogger("httpx").setLevel(logging.WARNING)
        self._client = httpx.AsyncClient(
            base_url=settings.notifier_profile_url,
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=settings.notifier_profile_seconds,
            limits=httpx.Limits(max_connections=settings.smtp_connections + 2),
        )

    async def fetch(self, profile_id: str) -> Recipient | None:
        """The person as known now (under the surviving id after a merge); None: nobody.

        Raises ``ProfilesAway`` for anything else, a refused token included.
        """
        try:
            response = await self._client.get(f"/v1/profiles/{quote(profile_id, safe='')}")
        except httpx.HTTPError as error:
            raise ProfilesAway(type(error).__name__) from error
        if response.status_code in _GONE:
            return None
        if response.status_code != 200:
            raise ProfilesAway(f"status {response.status_code}")
        try:
            return _decoder.decode(response.content)
        except msgspec.MsgspecError as error:
            raise ProfilesAway("answer does not fit") from error

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()
