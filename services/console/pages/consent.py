"""What a person said of being written to, and taking it back for them: a part of their page."""

import asyncio
from functools import partial
from uuid import uuid4

import msgspec

from services.console import words
from services.console.acting import Notice, asked, field, form
from services.console.answers import Page, Profile
from services.console.client import Apis, Trouble
from services.console.elements import Text, banner, box, card, empty
from services.console.statements import Statement

LINES = 50
"""Messages of the ledger that are shown."""

_TONES = {"granted": "good", "confirmed": "good", "pending": "wait"}
_WRITTEN = frozenset({"email", "sms", "push", "webhook"})
_TRIES = 20
_SECONDS = 0.25


def show(apis: Apis, profile: Profile, found: "Page[Statement] | Trouble") -> None:
    """Where they stand by channel and purpose, and every statement with its proof."""
    with card("Consent", note="Without a record nothing is sent"):
        _Consent(apis, profile, found)


class _Consent:
    """Redrawn when somebody takes back a consent for the person."""

    def __init__(self, apis: Apis, profile: Profile, found: "Page[Statement] | Trouble") -> None:
        self._apis = apis
        self._profile = profile
        self._found = found
        self._key = uuid4().hex
        self._notice = Notice()
        self._body = box("div", "column")
        self._draw()

    def _draw(self) -> None:
        self._body.clear()
        with self._body:
            if not self._profile.consent:
                empty("No consent is recorded.")
            for key in sorted(self._profile.consent):
                self._standing(key)
            if isinstance(self._found, Trouble):
                banner(self._found.message)
            elif self._found.items:
                _ledger(self._found)

    def _standing(self, key: str) -> None:
        said = self._profile.consent[key]
        channel, _, purpose = key.partition("/")
        pending = said.reason == "consent_pending"
        state = "pending" if pending else said.state
        with box("div", "line"):
            Text("span", _about(channel, purpose or "marketing"))
            Text("span", state, f"pill {_TONES.get(state, 'bad')}")
        why = {"": "", "consent_pending": ", not confirmed yet"}.get(
            said.reason, f" ({words.code(said.reason)})"
        )
        source = f" from {said.source}" if said.source else ""
        Text("p", f"Since {words.moment(said.at)}{source}{why}", "note")
        if channel in _WRITTEN and (pending or said.state == "granted"):
            self._withdrawal(channel, purpose or "marketing")

    def _withdrawal(self, channel: str, purpose: str) -> None:
        about, place = _about(channel, purpose).lower(), f"{channel}-{purpose}"
        with asked("Withdraw", about):
            Text("p", f"They told us to stop {about}.")
            with form(partial(self._withdraw, channel, purpose)):
                field("Your name", "actor", id=f"{place}-actor", required="", maxlength="200")
                hint = {"maxlength": "500", "placeholder": "Call of today"}
                field("How do we know?", "proof", id=f"{place}-proof", **hint)
                Text("button", "Yes, withdraw", "button danger", type="submit")

    async def _withdraw(self, channel: str, purpose: str, values: dict[str, str]) -> None:
        said = {
            "channel": channel,
            "purpose": purpose,
            "state": "withdrawn",
            "actor": values.get("actor", ""),
            "proof": values.get("proof") or None,
        }
        profiles, profile_id = self._apis.profiles, self._profile.profile_id
        told = await self._notice.tried(profiles.record_consent(profile_id, said, self._key))
        if isinstance(told, Trouble):
            return
        self._key = uuid4().hex
        for _ in range(_TRIES):
            found = await self._notice.tried(profiles.consent(profile_id, LINES))
            if isinstance(found, Trouble):
                return
            self._found = found
            if any(one.statement_id == told.statement_id for one in found.items):
                break
            await asyncio.sleep(_SECONDS)
        await self._reload()

    async def _reload(self) -> None:
        profile = await self._notice.tried(self._apis.profiles.profile(self._profile.profile_id))
        if isinstance(profile, Trouble):
            return
        self._profile = profile
        self._draw()
        self._notice.say("It is written down.", fine=True)


def _ledger(found: "Page[Statement]") -> None:
    with box("details", "more"):
        Text("summary", words.counted(len(found.items), "statement"))
        with box("ol", "timeline"):
            for one in found.items:
                with box("li", "deed"):
                    Text("strong", f"{_about(one.channel, one.purpose)}: {one.state}")
                    Text("p", f"{_by(one)}, {words.moment(one.at)}", "note")
                    for detail in _details(one):
                        Text("p", detail, "detail")
        if found.next:
            Text("p", "Older ones are in the profile API.", "note")


def _about(channel: str, purpose: str) -> str:
    return f"{words.code(purpose).capitalize()} by {words.code(channel)}"


def _by(one: Statement) -> str:
    who = {"person": "They", "import": "Imported", "provider": "A provider"}.get(one.by.kind)
    who = who or one.by.name or "An agent"
    return f"{who} by way of {one.source}" if one.source else who


def _details(one: Statement) -> list[str]:
    known = {
        "Text": one.text_version,
        "On": one.page,
        "From address": one.ip,
        "Proof": _proof(one),
    }
    if one.recorded_at != one.at:
        known["Known since"] = words.moment(one.recorded_at)
    return [f"{name}: {value}" for name, value in known.items() if value]


def _proof(one: Statement) -> str:
    if one.proof is None or isinstance(one.proof, str):
        return one.proof or ""
    return msgspec.json.encode(one.proof).decode()
