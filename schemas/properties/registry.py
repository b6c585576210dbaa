"""Which event has which properties."""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from schemas.properties import chat, consent, ecommerce, email, mobile


def _each(names: Iterable[str], struct: type[Struct]) -> dict[str, type[Struct]]:
    return dict.fromkeys(names, struct)


STRUCTS: Mapping[str, type[Struct]] = {
    "Products Searched": ecommerce.SearchProperties,
    **_each(("Product List Viewed", "Product List Filtered"), ecommerce.ProductListProperties),
    **_each(("Promotion Viewed", "Promotion Clicked"), ecommerce.PromotionProperties),
    **_each(("Product Clicked", "Product Viewed"), ecommerce.ProductProperties),
    **_each(("Product Added", "Product Removed"), ecommerce.CartProductProperties),
    **_each(("Cart Viewed", "Cart Updated"), ecommerce.CartProperties),
    "Checkout Started": ecommerce.CheckoutProperties,
    **_each(
        ("Checkout Step Viewed", "Checkout Step Completed", "Payment Info Entered"),
        ecommerce.CheckoutStepProperties,
    ),
    **_each(("Order Completed", "Order Updated", "Order Cancelled"), ecommerce.OrderProperties),
    "Order Refunded": ecommerce.RefundProperties,
    **_each(
        ("Coupon Entered", "Coupon Applied", "Coupon Denied", "Coupon Removed"),
        ecommerce.CouponProperties,
    ),
    **_each(
        (
            "Product Added to Wishlist",
            "Product Removed from Wishlist",
            "Wishlist Product Added to Cart",
        ),
        ecommerce.WishlistProperties,
    ),
    "Product Shared": ecommerce.SharedProductProperties,
    "Cart Shared": ecommerce.SharedCartProperties,
    "Product Reviewed": ecommerce.ReviewProperties,
    **_each(
        ("Email Delivered", "Email Opened", "Email Marked as Spam"),
        email.EmailProperties,
    ),
    "Email Bounced": email.BounceProperties,
    "Email Link Clicked": email.EmailLinkProperties,
    "Subscribed": email.SubscribeProperties,
    "Unsubscribed": email.UnsubscribeProperties,
    **_each(
        (
            "Live Chat Conversation Started",
            "Live Chat Conversation Ended",
            "Live Chat Message Sent",
            "Live Chat Message Received",
        ),
        chat.ChatProperties,
    ),
    **_each(
        (
            "Application Installed",
            "Application Backgrounded",
            "Application Crashed",
            "Application Uninstalled",
        ),
        mobile.ApplicationProperties,
    ),
    "Application Opened": mobile.ApplicationOpenedProperties,
    "Application Updated": mobile.ApplicationUpdatedProperties,
    "Install Attributed": mobile.InstallProperties,
    **_each(
        (
            "Push Notification Received",
            "Push Notification Tapped",
            "Push Notification Bounced",
        ),
        mobile.PushProperties,
    ),
    **_each(("Deep Link Opened", "Deep Link Clicked"), mobile.DeepLinkProperties),
    "Consent Updated": consent.ConsentProperties,
}
"""By the catalogue's name of the event."""

SHAPES: tuple[type[Struct], ...] = tuple(dict.fromkeys(STRUCTS.values()))
"""Each Struct once."""
