"""Product lines, as orders and carts name them."""

from decimal import Decimal
from typing import Any

from schemas.messages import OrderLine
from services.profile.build.rules.values import number, text

_ZERO = Decimal("0.00")


def lines_of(products: Any) -> list[OrderLine]:
    """The lines in an event's ``products``; what is none is left out."""
    if not isinstance(products, list):
        return []
    return [line_of(product) for product in products if isinstance(product, dict)]


def line_of(product: dict[str, Any]) -> OrderLine:
    """One product as a line; without a quantity it is one piece."""
    quantity = number(product.get("quantity"))
    return OrderLine(
        product_id=text(product.get("product_id")) or text(product.get("sku")) or "",
        name=text(product.get("name")),
        category=text(product.get("category")),
        brand=text(product.get("brand")),
        price=number(product.get("price")),
        quantity=1 if quantity is None else int(quantity),
    )


def sum_of(lines: list[OrderLine]) -> Decimal:
    """Prices times quantities; nothing where that is beyond what an amount may be."""
    total = sum((line.price * line.quantity for line in lines if line.price), _ZERO)
    return number(total) or _ZERO
