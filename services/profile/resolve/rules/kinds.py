"""The kinds of identifiers, as data: whom they name, how many one person may have, which wins.

A *personal* identifier names a person: two that are seen together are one person's. A
*device* is a thing that several may hold in turn, and one person any number of: it never makes
two people one. An order is such a thing: a shop may write another customer on it. What a kind
looks like in one spelling is in ``spelling``; the limits are Segment's defaults.
"""

from msgspec import Struct

from schemas.catalogue import ORDER_IDS


class Kind(Struct, frozen=True):
    """One type of identifier."""

    type: str
    most: int = 5
    """How many one person may have."""


PERSONAL = (
    Kind("user_id", 1),
    Kind("customer_id"),
    Kind("email"),
    Kind("phone"),
    Kind("loyalty_card"),
    Kind("contact_id"),
    Kind("email_sha256"),
)
"""In order of trust: where a limit is in the way, the last of an event's is let go first.
Types that are not named here, of ``context.externalIds``, come after these, five each.

``customer_id`` and ``contact_id`` are ``<source>/<id>``: a shop's and a chat tool's own books.
"""

ORDER = "order"
"""``<source>/<order id>``: what names nothing else, a refund mostly, is whose it is."""
DEVICES = ("anonymous_id", "device_id", ORDER)
"""The first of a message's says whose it is, where it names nobody."""

_RANK = {kind.type: rank for rank, kind in enumerate(PERSONAL)}
_MOST = {kind.type: kind.most for kind in PERSONAL}
_OTHER = len(_RANK)
_DEVICE = frozenset(DEVICES)
_ORDER = _RANK | {kind: _OTHER + 1 + rank for rank, kind in enumerate(DEVICES)}

EXTERNAL = {
    "user_id": "user_id",
    "userid": "user_id",
    "customer_id": "customer_id",
    "shopify_customer_id": "customer_id",
    "woocommerce_customer_id": "customer_id",
    "email": "email",
    "phone": "phone",
    "loyalty_card": "loyalty_card",
    "contact_id": "contact_id",
    "intercom_contact_id": "contact_id",
    "chatwoot_contact_id": "contact_id",
    "messenger_psid": "contact_id",
    "instagram_igsid": "contact_id",
    "email_sha256": "email_sha256",
    "hashed_email": "email_sha256",
    "sha256_email": "email_sha256",
    "anonymous_id": "anonymous_id",
    "device_id": "device_id",
    "android.id": "device_id",
    "ios.id": "device_id",
    **dict.fromkeys(ORDER_IDS, "order"),
}
"""Well-known type names of ``context.externalIds``, in lower case, and what they are here."""

NOT_LINKING = frozenset(
    {
        "intercom_external_id",  # anybody may claim any
        "group_id",
        "ga_client_id",
        "cross_domain_id",
        "android.idfa",
        "ios.idfa",
        "android.push_token",
        "ios.push_token",
        "idfa",
        "gaid",
        "advertising_id",
    }
)
"""External ids that tell no person: claimed, shared or changed at will. Kept in the event only."""

OWN_BOOKS = frozenset({"customer_id", "contact_id", "order"})
"""Kinds whose values are unique within one source."""

BLOCKED = frozenset(
    [
        *("-1", "null", "nil", "none", "void", "undefined", "nan", "true", "false"),
        *("anonymous", "guest", "unknown", "test", "n/a", "(not set)", "[object object]"),
    ]
)
"""What senders write for "nobody", in lower case: these would join strangers. What else a shop's
tills and forms write (an address of its own, say) are its settings' to name."""

BLOCKED_CHARACTERS = "0-"
"""A value of nothing but these is blocked too: the empty text, ``0``, the empty GUID."""

LONGEST = 512
"""Characters of a value; longer ones identify nobody."""

SHARED_NAMES = 5
"""A device that more people than this are named on, within ``SHARED_DAYS``, is shared."""
SHARED_DAYS = 30
SHARED_TURNS = 500
"""A device that has changed hands this often is shared too."""


def is_device(type: str) -> bool:
    """Whether identifiers of this type are devices."""
    return type in _DEVICE


def rank(type: str) -> int:
    """The place in the order of trust: the smaller the more trusted."""
    return _ORDER.get(type, _OTHER)


def most(type: str) -> int:
    """How many of a personal type one person may have."""
    return _MOST.get(type, 5)
