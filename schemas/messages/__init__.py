"""Every message that crosses a service border, one msgspec Struct each.

Events keep the names of Segment's public message format (camelCase on the wire); the
topics that Regulars itself defines use snake_case. Times are RFC 3339 in UTC. Money is
``{"amount": "12.50", "currency": "USD"}`` with an exact decimal. Adding an optional field
is compatible; readers ignore what they do not know, and events travel verbatim inside
interactions so that nothing a sender adds is lost.
"""

from schemas.messages.commerce import (
    Cart,
    Conversation,
    OrderLine,
    Subscription,
    Wished,
    Wishlist,
)
from schemas.messages.consents import Confirmation, ConsentRequested
from schemas.messages.definitions import (
    Aggregate,
    Comparison,
    ComputedTrait,
    Definition,
    PropertyCondition,
    Rates,
    TraitSources,
)
from schemas.messages.events import Event, EventType
from schemas.messages.interactions import (
    Identifier,
    IdentityDecision,
    IdentityMerged,
    IdentityRearranged,
    Interaction,
    ProfileAbsorbed,
)
from schemas.messages.privacy import PrivacyRequest, SubjectIdentity
from schemas.messages.profiles import (
    MAX_ITEMS,
    MAX_VALUES,
    MAX_WINDOW,
    Cause,
    ComputedValue,
    Consent,
    Device,
    Money,
    Order,
    Profile,
    ProfileChanged,
    Refund,
)
from schemas.messages.segments import Reason, SegmentChanged
from schemas.messages.sends import Channel, MessageChanged, MessageState

__all__ = [
    "MAX_ITEMS",
    "MAX_VALUES",
    "MAX_WINDOW",
    "Aggregate",
    "Cart",
    "Cause",
    "Channel",
    "Comparison",
    "ComputedTrait",
    "ComputedValue",
    "Confirmation",
    "Consent",
    "ConsentRequested",
    "Conversation",
    "Definition",
    "Device",
    "Event",
    "EventType",
    "Identifier",
    "IdentityDecision",
    "IdentityMerged",
    "IdentityRearranged",
    "Interaction",
    "MessageChanged",
    "MessageState",
    "Money",
    "Order",
    "OrderLine",
    "PrivacyRequest",
    "Profile",
    "ProfileAbsorbed",
    "ProfileChanged",
    "PropertyCondition",
    "Rates",
    "Reason",
    "Refund",
    "SegmentChanged",
    "SubjectIdentity",
    "Subscription",
    "TraitSources",
    "Wished",
    "Wishlist",
]
