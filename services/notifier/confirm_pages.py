"""The pages of the link in a confirmation mail: title, lead and the rest, which is HTML."""

from urllib.parse import urlencode


def ask(token: str) -> tuple[str, str, str]:
    """Of a link that works."""
    return (
        "Please confirm",
        "Do you want to receive our emails?",
        f"<form method='post' action='confirm?{urlencode({'token': token})}'>"
        "<button type='submit'>Yes, I do</button></form>"
        "<p class='quiet'>If you did not ask for them, close this page: you will get none.</p>",
    )


def expired(token: str) -> tuple[str, str, str]:
    """Of a link that has ended: its reader may ask for another."""
    return (
        "This link is too old",
        "Nothing was confirmed by it. Do you want another one?",
        f"<form method='post' action='again?{urlencode({'token': token})}'>"
        "<button type='submit'>Send me another link</button></form>",
    )


SENT = (
    "Look into your inbox",
    "If you still have something to confirm, an email with a new link is on its way.",
    "<p class='quiet'>It may take a minute, and it may be among the spam. If none comes, please "
    "sign up again: perhaps you have ended it since, or many were sent to you lately.</p>",
)
DONE = (
    "Thank you",
    "Your choice is confirmed.",
    "<p class='quiet'>Every email has a link to end it. If you have ended them since you signed "
    "up, please sign up again.</p>",
)
TOO_OFTEN = (
    "Please wait a minute",
    "This link was used many times just now. What you have confirmed stays confirmed.",
    "<form method='post'><button type='submit'>Try again</button></form>",
)
NOT_SENT = (
    "Please try again in a minute",
    "We could not send you another link just now.",
    "<form method='post'><button type='submit'>Try again</button></form>",
)
LATER = (
    "Thank you",
    "Your choice is stored. Some of our systems could not be told yet; that happens by itself.",
    "<form method='post'><button type='submit'>Try again</button></form>",
)
