"""Log in with a bearer token of the APIs. A plain form: it works before any script does."""

from collections.abc import Mapping

from services.console.elements import Text, banner, box

TITLE = "Log in"
_FAILED = {
    "unknown": "This token is not known. Check that all of it was copied.",
    "away": "The token could not be checked: the profile API does not answer. Is it running?",
}


def build(query: Mapping[str, str]) -> None:
    """The form; ``next`` is where to go afterwards, ``failed`` why the last try did not work."""
    with box("div", "login card"):
        Text("h1", "Log in")
        Text("p", "Use a token that you were given for Regulars' APIs.", "note")
        failed = query.get("failed", "")
        if failed in _FAILED:
            banner(_FAILED[failed])
        with box("form", "form", method="post", action="/login"):
            box("input", type="hidden", name="next", value=query.get("next", "/"))
            Text("label", "Token", for_="token")
            box(
                "input",
                type="password",
                name="token",
                id="token",
                autocomplete="current-password",
                required="required",
                maxlength="500",
            )
            Text("button", "Log in", "button primary", type="submit")
