"""The money of a Shopify order and of its refunds, exact and in the shop's currency. Pure.

Shopify's Order: ``total_price`` is what was ordered, with all; ``subtotal_price`` the goods
after discounts, tax included where ``taxes_included``. Segment's ``revenue`` excludes tax and
shipping. Refunds lower neither: they are events of their own, but for what was taken off the
order before it was paid (a refund without any transaction), which nobody gives back.
"""

from collections.abc import Iterable, Iterator, Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from services.ingest.hooks.body import money, part, parts, present, text
from services.ingest.hooks.shopify_model import plain, shop_money

_ZERO = Decimal(0)
_REST = ("total_tip_received", "original_total_duties_set", "original_total_additional_fees_set")


def amounts(order: Mapping[str, Any]) -> dict[str, Any]:
    """``total``, ``revenue``, ``subtotal``, ``tax``, ``shipping``, ``discount`` of an order.

    What cannot be read stays as it was sent, so that the event is refused and not guessed.
    """
    said = {
        "total": order.get("total_price"),
        "subtotal": order.get("subtotal_price"),
        "tax": order.get("total_tax"),
        "discount": order.get("total_discounts"),
    }
    total, goods = money(said["total"]), money(said["subtotal"])
    tax = money(said["tax"]) or _ZERO
    if total is None or (goods is None and said["subtotal"] is not None):
        return present(said)
    if goods is None:
        return present(said | {"shipping": plain(shop_money(order, "total_shipping_price_set"))})
    included = order.get("taxes_included") is True
    revenue = goods - (tax - _shipping_tax(order)) if included else goods
    shipping = total - revenue - tax - sum((_beside(order, name) for name in _REST), _ZERO)
    gone, gone_tax = _taken_off(order)
    net = _less(revenue, gone - gone_tax if included else gone)
    return present(
        {
            "total": plain(_less(total, gone if included else gone + gone_tax)),
            "revenue": plain(net),
            "subtotal": plain(net),
            "tax": plain(_less(tax, gone_tax)),
            "shipping": plain(shipping) if shipping >= 0 else None,
            "discount": said["discount"],
        }
    )


def _less(amount: Decimal, taken: Decimal) -> Decimal:
    """What is left: nothing at worst, but an amount that was wrong stays wrong."""
    return max(amount - taken, min(amount, _ZERO))


def _shipping_tax(order: Mapping[str, Any]) -> Decimal:
    return sum(
        (
            money(tax.get("price")) or _ZERO
            for line in parts(order, "shipping_lines")
            for tax in parts(line, "tax_lines")
        ),
        _ZERO,
    )


def _beside(order: Mapping[str, Any], name: str) -> Decimal:
    """A part of the total that is neither goods nor tax nor shipping."""
    amount = shop_money(order, name) if name.endswith("_set") else money(order.get(name))
    return amount or _ZERO


def _taken_off(order: Mapping[str, Any]) -> tuple[Decimal, Decimal]:
    """(goods, their tax) that were removed while no money changed hands."""
    lines = [
        line
        for refund in parts(order, "refunds")
        if not parts(refund, "transactions")
        for line in parts(refund, "refund_line_items")
    ]
    goods = (_either(line, "subtotal") or _ZERO for line in lines)
    taxes = (_either(line, "total_tax") or _ZERO for line in lines)
    return sum(goods, _ZERO), sum(taxes, _ZERO)


def _either(line: Mapping[str, Any], name: str) -> Decimal | None:
    """Shop money where it is told apart, else the plain field, which is the same then."""
    exact = shop_money(line, f"{name}_set")
    return money(line.get(name)) if exact is None else exact


def paid_back(refund: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The transactions by which money really went back: kind refund, status success."""
    for transaction in parts(refund, "transactions"):
        if transaction.get("kind") == "refund" and transaction.get("status") == "success":
            yield transaction


def refunded(transaction: Mapping[str, Any], order: Mapping[str, Any]) -> Decimal | None:
    """What one transaction gave back, in the order's (the shop's) currency.

    A transaction speaks the customer's currency. Where that is another, it is valued at the
    rate of the order, which Shopify fixes when it is placed; the whole gives the whole.
    """
    exact = shop_money(transaction, "amount_set")
    if exact is not None:
        return abs(exact)
    amount = money(transaction.get("amount"))
    if amount is None:
        return None
    currency = transaction.get("currency")
    if currency in (None, "", order.get("currency")):
        return abs(amount)
    prices = part(order, "total_price_set")
    there = part(prices, "presentment_money")
    shop, presented = shop_money(order, "total_price_set"), money(there.get("amount"))
    if not shop or not presented or there.get("currency_code") != currency:
        return None
    exponent = shop.as_tuple().exponent
    digits = Decimal(1).scaleb(exponent if isinstance(exponent, int) else -2)
    return (abs(amount) * shop / presented).quantize(digits, ROUND_HALF_UP)


def shop_currency(refund: Mapping[str, Any]) -> str | None:
    """The shop's own currency, which is its orders', where a refund tells it."""
    lines, adjustments = parts(refund, "refund_line_items"), parts(refund, "order_adjustments")
    priced = [part(refund, "total_duties_set"), *(part(one, "subtotal_set") for one in lines)]
    priced += [part(one, "amount_set") for one in (*adjustments, *parts(refund, "transactions"))]
    codes = (text(part(one, "shop_money").get("currency_code")) for one in priced)
    return next(filter(None, codes), None)


def given_back(refund: Mapping[str, Any]) -> dict[str, Any]:
    """The tax and shipping within a refund, as far as it tells them apart."""
    shipping = [
        one for one in parts(refund, "order_adjustments") if one.get("kind") == "shipping_refund"
    ]
    taxes = [_either(line, "total_tax") for line in parts(refund, "refund_line_items")]
    taxes += [_either(one, "tax_amount") for one in shipping]
    sent = [_either(one, "amount") for one in shipping]
    return present({"tax": _told(taxes), "shipping": _told(sent)})


def _told(amounts: Iterable[Decimal | None]) -> str | None:
    """Their sum whatever their sign: adjustments are negative, lines are not."""
    total = sum((abs(amount) for amount in amounts if amount), _ZERO)
    return plain(total) if total else None
