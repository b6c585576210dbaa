"""The write keys and secrets of a source: parts of its page."""

from collections.abc import Awaitable, Callable
from functools import partial

from services.console import words
from services.console.acting import Notice, button, confirmed, copying, field, form
from services.console.arrivals import MadeKey, Source
from services.console.client import Apis, Trouble
from services.console.elements import Text, box, card, empty

_DAY = 86_400
Refresh = Callable[[], Awaitable[None]]


def show_once(made: MadeKey) -> None:
    """A new key. Nobody can ask for it again."""
    with box("div", "secret"):
        Text("p", "The write key. Copy it now: it is not shown again.")
        Text("code", made.key, tabindex="0")
        copying(made.key)
        if not made.published:
            Text("p", "Kafka is away: it works as soon as it is back.", "note")


class Keys:
    """Its write keys; a new one is shown here once."""

    def __init__(self, apis: Apis, source: Source, refresh: Refresh) -> None:
        self._apis = apis
        self._name = source.name
        self._refresh = refresh
        with card("Write keys", note="At most two at once"):
            self._notice = Notice()
            self._list = box("ul", "held")
            self._made = box("div", aria_live="polite")
            with box("div", "choices"):
                button("Add a key", partial(self._make, None))
                question = "The older keys stop in a day; nothing is refused until then."
                confirmed("Rotate", question, partial(self._make, _DAY))
        self.show(source)

    def show(self, source: Source) -> None:
        """The keys as they are now."""
        self._list.clear()
        with self._list:
            if source.static:
                with box("li"):
                    Text("span", "A key of the settings", "value")
                    Text("span", "REGULARS_WRITE_KEYS", "note")
            for key in source.keys:
                with box("li"):
                    Text("span", f"…{key.hint}", "value")
                    end = f", ends {words.moment(key.expires_at)}" if key.expires_at else ""
                    Text("span", f"made {words.moment(key.created_at)}{end}", "note")
                    question = "Whoever sends with it is refused within a second."
                    about = f"the key that ends in {key.hint}"
                    confirmed("Delete", question, partial(self._delete, key.id), about)
            if not source.keys and not source.static:
                with box("li"):
                    empty("No key: nothing can be sent with one.")

    async def _make(self, overlap: int | None) -> None:
        made = await self._notice.tried(self._apis.sources.make_key(self._name, overlap))
        if isinstance(made, Trouble):
            return
        self._made.clear()
        with self._made:
            show_once(made)
        await self._refresh()

    async def _delete(self, key_id: str) -> None:
        deleted = await self._notice.tried(self._apis.sources.delete_key(self._name, key_id))
        if not isinstance(deleted, Trouble):
            await self._refresh()
            self._notice.say("The key is deleted.", fine=True)


class Secrets:
    """Its secrets by name, and a form to set one."""

    def __init__(self, apis: Apis, source: Source, refresh: Refresh) -> None:
        self._apis = apis
        self._name = source.name
        self._refresh = refresh
        with card("Secrets", note="With which providers sign"):
            self._notice = Notice()
            self._list = box("ul", "held")
            with box("details", "more"):
                Text("summary", "Set a secret")
                with form(self._set, "inline"):
                    field("Name of the secret", "secret", required="", placeholder="app_secret")
                    field(
                        "Value", "value", type="password", required="", autocomplete="new-password"
                    )
                    Text("button", "Set", "button primary", type="submit")
        self.show(source)

    def show(self, source: Source) -> None:
        """The secrets as they are now; never their values."""
        self._list.clear()
        with self._list:
            for secret in source.secrets:
                with box("li"):
                    Text("span", secret.name, "value")
                    also = secret.previous_until
                    end = f"; the one before is good until {words.clock(also)}" if also else ""
                    Text("span", f"set {words.moment(secret.set_at)}{end}", "note")
            if not source.secrets:
                with box("li"):
                    Text("span", "None is set.", "note")

    async def _set(self, given: dict[str, str]) -> None:
        work = self._apis.sources.set_secret(
            self._name, given.get("secret", ""), given.get("value", "")
        )
        if not isinstance(await self._notice.tried(work), Trouble):
            await self._refresh()
