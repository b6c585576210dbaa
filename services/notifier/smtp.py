"""One kept SMTP connection, and what its answers mean for the message in hand."""

import re
import ssl

from aiosmtplib import (
    SMTP,
    SMTPException,
    SMTPResponseException,
    SMTPServerDisconnected,
    SMTPTimeoutError,
)

from services.notifier.settings import NotifierSettings

_ENHANCED = re.compile(r"[245]\.\d{1,3}\.\d{1,3}")
_NOT_LOGGED_IN = frozenset({530, 534, 535, 538})
_NO_SUCH_ADDRESS = frozenset({"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10"})


class Refused(Exception):
    """The server answered, and it was no: nothing of the message was kept."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(str(code))
        self.code = code
        found = _ENHANCED.search(text)
        self.status = found.group() if found else ""
        """The enhanced status code (RFC 3463); the text may hold addresses, so it is dropped."""

    @property
    def permanent(self) -> bool:
        """No later try can succeed."""
        return self.code >= 500

    @property
    def no_such_address(self) -> bool:
        """The mailbox or its domain does not exist."""
        return self.status in _NO_SUCH_ADDRESS


class Unreachable(Exception):
    """There is no usable connection; nothing of the message was sent."""


class Unanswered(Exception):
    """The message was sent and the connection lost before the answer: it may have arrived."""


class Connection:
    """A connection that is opened when needed and kept between messages."""

    def __init__(self, settings: NotifierSettings) -> None:
        self._settings = settings
        self._client: SMTP | None = None

    async def address(self, sender: str, recipient: str) -> None:
        """MAIL and RCPT, on a connection that answers; raises Refused or Unreachable."""
        kept = self._client is not None
        client = self._client or await self._open()
        try:
            await self._envelope(client, sender, recipient)
        except (SMTPServerDisconnected, SMTPTimeoutError, OSError) as error:
            self.close()
            if not kept:
                raise Unreachable(type(error).__name__) from error
            # The server closed it while it was idle: that says nothing about the message.
            await self.address(sender, recipient)

    async def data(self, message: bytes) -> None:
        """Send the message to the recipient that ``address`` named.

        Returns when the server has accepted it; raises Refused or Unanswered.
        """
        assert self._client is not None
        try:
            await self._client.data(message, timeout=self._settings.smtp_data_seconds)
        except SMTPResponseException as error:
            raise await self._refused(error.code, error.message) from error
        except BaseException as error:  # also when cancelled: the server may have it
            self.close()
            if isinstance(error, SMTPException | OSError):
                raise Unanswered(type(error).__name__) from error
            raise

    async def reset(self) -> None:
        """Forget the recipient that ``address`` named."""
        if self._client is None:
            return
        try:
            await self._client.rset()
        except (SMTPException, OSError):
            self.close()

    def close(self) -> None:
        """Drop the connection."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    async def quit(self) -> None:
        """Say goodbye, if anybody listens."""
        client, self._client = self._client, None
        if client is not None:
            try:
                await client.quit(timeout=1.0)
            except (SMTPException, OSError):
                client.close()

    async def _open(self) -> SMTP:
        settings = self._settings
        client = SMTP(
            hostname=settings.smtp_host,
            port=settings.smtp_port,
            username=settings.smtp_user or None,
            password=settings.smtp_password.get_secret_value() or None,
            use_tls=settings.smtp_tls,
            timeout=settings.smtp_seconds,
        )
        try:
            await client.connect()
            if client.is_ehlo_or_helo_needed:
                await client.ehlo()
        except (SMTPException, OSError, ssl.SSLError) as error:
            client.close()
            raise Unreachable(type(error).__name__) from error
        self._client = client
        return client

    async def _envelope(self, client: SMTP, sender: str, recipient: str) -> None:
        # Not ``client.mail`` and ``rcpt``: they parse the addresses again, for a tenth of
        # what a mail costs. Both are plain ASCII addresses by now.
        for command, address in ((b"MAIL", f"FROM:<{sender}>"), (b"RCPT", f"TO:<{recipient}>")):
            answer = await client.execute_command(command, address.encode("ascii"))
            if answer.code in _NOT_LOGGED_IN:
                self.close()
                raise Unreachable(f"smtp_{answer.code}")
            if not 200 <= answer.code < 300:
                raise await self._refused(answer.code, answer.message)

    async def _refused(self, code: int, text: str) -> Refused:
        if code == 421:  # the server is closing the connection
            self.close()
        else:
            await self.reset()
        return Refused(code, text)
