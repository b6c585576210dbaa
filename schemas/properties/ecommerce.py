"""E-commerce events v2 (Segment's spec): products, carts, checkouts, orders, coupons.

``currency`` is named for every product although the spec has it for few: shops send it,
and an amount without one cannot be added to others.
"""

from typing import Any

from msgspec import Struct

from schemas.properties.kinds import Amount, Count, Currency, Id


class Product(Struct, kw_only=True, omit_defaults=True):
    """One product, or one line of an order, a cart, a list.

    Where only ``sku`` is said, it becomes ``product_id`` too.
    """

    product_id: Id | None = None
    sku: Id | None = None
    category: str | None = None
    name: str | None = None
    brand: str | None = None
    variant: str | None = None
    price: Amount | None = None
    """Of one piece."""
    quantity: Count | None = None
    """None means one."""
    coupon: str | None = None
    position: Count | None = None
    url: str | None = None
    image_url: str | None = None
    currency: Currency | None = None


class Choice(Struct, kw_only=True, omit_defaults=True):
    """A filter or an order of a product list."""

    type: str | None = None
    value: str | None = None


class SearchProperties(Struct, kw_only=True, omit_defaults=True):
    """Products Searched."""

    query: Any = None
    """A text, or an object."""


class ProductListProperties(Struct, kw_only=True, omit_defaults=True):
    """Product List Viewed, Product List Filtered."""

    list_id: Id | None = None
    category: str | None = None
    filters: list[Choice] | None = None
    sorts: list[Choice] | None = None
    products: list[Product] | None = None


class PromotionProperties(Struct, kw_only=True, omit_defaults=True):
    """Promotion Viewed, Promotion Clicked."""

    promotion_id: Id | None = None
    creative: str | None = None
    name: str | None = None
    position: str | None = None
    """A place such as ``home_banner_top``: of a promotion it is a text."""


class ProductProperties(Product, kw_only=True, omit_defaults=True):
    """Product Clicked, Product Viewed."""

    value: Amount | None = None
    """Price times quantity."""


class CartProductProperties(ProductProperties, kw_only=True, omit_defaults=True):
    """Product Added, Product Removed: one product of a cart."""

    cart_id: Id | None = None


class CartProperties(Struct, kw_only=True, omit_defaults=True):
    """Cart Viewed, Cart Updated: with ``products``, all that is in the cart now."""

    cart_id: Id | None = None
    value: Amount | None = None
    currency: Currency | None = None
    products: list[Product] | None = None


class CheckoutProperties(Struct, kw_only=True, omit_defaults=True):
    """Checkout Started: the order as it would become."""

    order_id: Id | None = None
    checkout_id: Id | None = None
    cart_id: Id | None = None
    affiliation: str | None = None
    value: Amount | None = None
    revenue: Amount | None = None
    shipping: Amount | None = None
    tax: Amount | None = None
    discount: Amount | None = None
    coupon: str | None = None
    currency: Currency | None = None
    products: list[Product] | None = None


class CheckoutStepProperties(Struct, kw_only=True, omit_defaults=True):
    """Checkout Step Viewed, Checkout Step Completed, Payment Info Entered."""

    checkout_id: Id | None = None
    order_id: Id | None = None
    step: Count | None = None
    shipping_method: str | None = None
    payment_method: str | None = None


class OrderProperties(Struct, kw_only=True, omit_defaults=True):
    """Order Completed, Order Updated, Order Cancelled: the whole order as it now is."""

    order_id: Id
    checkout_id: Id | None = None
    cart_id: Id | None = None
    """The cart it was made of; without it, all carts of the person are taken to be bought."""
    affiliation: str | None = None
    """The shop or partner through which it was sold."""
    channel: str | None = None
    """``store`` for a sale at a till; none means online."""
    subtotal: Amount | None = None
    """After discounts, before tax and shipping."""
    total: Amount | None = None
    """What it came to, with tax, shipping and discounts, however it was paid."""
    revenue: Amount | None = None
    """Without shipping and tax."""
    shipping: Amount | None = None
    tax: Amount | None = None
    discount: Amount | None = None
    """Of either sign: both mean that much less."""
    coupon: str | None = None
    currency: Currency | None = None
    """None means the source's currency, else US dollars."""
    status: str | None = None
    """Of an order that was cancelled, one such as ``processing``, ``paid`` or ``completed`` says
    that it stands again; ``cancelled`` or ``voided`` that it does not. Others say neither."""
    cancelled: bool | None = None
    """The same in one word, where the shop has states of its own; it counts before ``status``."""
    email: str | None = None
    """The buyer's address: it names the person."""
    products: list[Product] | None = None


class RefundProperties(Struct, kw_only=True, omit_defaults=True):
    """Order Refunded: ``total``, else ``revenue``, else ``amount``, else the sum of the lines.

    One of them is needed, other than zero, of either sign. Lines are what was given back,
    not the order's. Of net revenue it takes its ``revenue``, else what is left without its
    ``tax`` and ``shipping``, else the order's revenue in proportion to the order's total.
    """

    order_id: Id
    refund_id: Id | None = None
    affiliation: str | None = None
    channel: str | None = None
    total: Amount | None = None
    revenue: Amount | None = None
    amount: Amount | None = None
    subtotal: Amount | None = None
    shipping: Amount | None = None
    tax: Amount | None = None
    discount: Amount | None = None
    currency: Currency | None = None
    """None means the order's."""
    reason: str | None = None
    email: str | None = None
    products: list[Product] | None = None


class CouponProperties(Struct, kw_only=True, omit_defaults=True):
    """Coupon Entered, Coupon Applied, Coupon Denied, Coupon Removed."""

    order_id: Id | None = None
    cart_id: Id | None = None
    coupon_id: Id | None = None
    coupon_name: str | None = None
    discount: Amount | None = None
    currency: Currency | None = None
    reason: str | None = None
    """Why it was denied."""


class WishlistProperties(ProductProperties, kw_only=True, omit_defaults=True):
    """Product Added to Wishlist, Product Removed from Wishlist, Wishlist Product Added to Cart."""

    wishlist_id: Id | None = None
    wishlist_name: str | None = None
    cart_id: Id | None = None


class SharedProductProperties(Product, kw_only=True, omit_defaults=True):
    """Product Shared."""

    share_via: str | None = None
    share_message: str | None = None
    recipient: str | None = None


class SharedCartProperties(CartProperties, kw_only=True, omit_defaults=True):
    """Cart Shared."""

    share_via: str | None = None
    share_message: str | None = None
    recipient: str | None = None


class ReviewProperties(Struct, kw_only=True, omit_defaults=True):
    """Product Reviewed."""

    product_id: Id | None = None
    sku: Id | None = None
    review_id: Id | None = None
    review_body: str | None = None
    rating: Any = None
    """As the shop counts: ``5``, or ``"4/5"``."""
