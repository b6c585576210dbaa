"""Shopping as hypothesis makes it up: carts, wishlists, lists and conversations."""

from typing import Any

from hypothesis import strategies as st

from schemas.messages import Interaction
from tests.people import did

INSTANTS = st.integers(0, 12).map(lambda step: step / 2)
PRODUCTS = st.sampled_from(["tea", "pot", "cup"])
CARTS = st.sampled_from([None, "c1"])
QUANTITIES = st.sampled_from([None, 1, 2])
LINES = st.lists(
    st.fixed_dictionaries({"product_id": PRODUCTS, "quantity": QUANTITIES, "price": st.just(2)}),
    max_size=3,
    unique_by=lambda line: line["product_id"],
)


def _said(name: str, at: float, properties: dict[str, Any]) -> Interaction:
    return did(name, at, properties=properties)


def _events(names: list[str], **properties: st.SearchStrategy[Any]) -> Any:
    return st.builds(_said, st.sampled_from(names), INSTANTS, st.fixed_dictionaries(properties))


MOVES = _events(
    ["Product Added", "Product Removed", "Wishlist Product Added to Cart"],
    product_id=PRODUCTS,
    quantity=QUANTITIES,
    cart_id=CARTS,
)
CONTENTS = _events(["Cart Viewed", "Cart Updated"], cart_id=CARTS, products=LINES)
LOOKS = _events(["Cart Viewed", "Checkout Started", "Checkout Step Viewed"], cart_id=CARTS)
PURCHASES = _events(
    ["Order Completed"],
    order_id=st.sampled_from(["o1", "o2"]),
    cart_id=CARTS,
    channel=st.sampled_from([None, "store"]),
    revenue=st.just(5),
)
WISHES = _events(
    ["Product Added to Wishlist", "Product Removed from Wishlist"],
    product_id=PRODUCTS,
    wishlist_id=CARTS,
    wishlist_name=st.sampled_from([None, "a", "b"]),
)
LISTS = _events(["Subscribed", "Unsubscribed"], list_id=st.sampled_from(["l1", "l2", "l3", None]))
TALKS = _events(
    [
        "Live Chat Conversation Started",
        "Live Chat Conversation Ended",
        "Live Chat Message Sent",
        "Live Chat Message Received",
    ],
    conversation_id=st.sampled_from(["1", "2", None]),
    agent_id=st.sampled_from([None, "a", "b"]),
    channel=st.sampled_from([None, "whatsapp"]),
)
CART_EVENTS = MOVES | CONTENTS | LOOKS | PURCHASES
SHOPPING = CART_EVENTS | WISHES | LISTS | TALKS


def numbered(said: list[Interaction]) -> list[Interaction]:
    """With ids whose order is not that of the list."""
    for number, interaction in enumerate(said):
        interaction.interaction_id = f"m{number * 7919 % 31:02}-{number}"
    return said
