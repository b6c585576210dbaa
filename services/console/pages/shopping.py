"""What one person is about to buy, wishes for, and talks to the shop about."""

from collections.abc import Sequence

from services.console import words
from services.console.answers import Amount, Cart, Conversation, Line, Profile
from services.console.elements import Cell, Column, Pill, Text, box, card, table

_LINES = 5
_CONVERSATION_COLUMNS = (
    Column("Last (UTC)", whole=True),
    Column("Where"),
    Column("State"),
    Column("Messages", numeric=True, hint="Theirs and the shop's"),
    Column("Agent"),
)


def show_carts(profile: Profile) -> None:
    """Nothing where there is neither a cart nor a wishlist."""
    if not profile.carts and not profile.wishlists:
        return
    with card("Carts and wishlists", note="Not yet bought"):
        for cart in profile.carts:
            _cart(cart)
        for wishlist in profile.wishlists:
            with box("div", "line"):
                Text("span", wishlist.name or "Wishlist")
                Text("span", words.counted(len(wishlist.products), "product"))
            Text("p", _named(wishlist.products), "note")


def _cart(cart: Cart) -> None:
    with box("div", "line"):
        Text("span", f"Cart of {words.counted(cart.items, 'piece')}")
        if cart.value is not None:
            Text("span", words.money(Amount(cart.value, cart.currency)))
    begun = "checkout begun, " if cart.checkout_at is not None else ""
    Text("p", f"{_named(cart.products)}; {begun}last {words.moment(cart.updated_at)}", "note")


def _named(lines: Sequence[Line]) -> str:
    shown = ", ".join(
        f"{line.quantity} \u00d7 {line.name or line.product_id}" for line in lines[:_LINES]
    )
    return shown + (f" and {len(lines) - _LINES} more" if len(lines) > _LINES else "")


def show_conversations(profile: Profile) -> None:
    """Nothing where there was none."""
    if profile.conversations:
        with card("Conversations"):
            rows = map(_conversation, profile.conversations)
            table("Conversations, the latest first", _CONVERSATION_COLUMNS, rows, "stack")


def _conversation(talk: Conversation) -> list[Cell]:
    return [
        words.moment(talk.updated_at).removesuffix(" UTC"),
        talk.channel or talk.source or words.NOTHING,
        Pill(talk.status, "wait" if talk.status == "open" else "plain"),
        f"{words.count(talk.messages_sent)} + {words.count(talk.messages_received)}",
        talk.agent_name or talk.agent_id or words.NOTHING,
    ]
