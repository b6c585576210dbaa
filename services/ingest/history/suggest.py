"""A first mapping for a CSV or Parquet file, guessed from the names of its columns.

It is a draft for people to correct: no money or time is interpreted by it.
"""

import re
from collections.abc import Iterable, Sequence

import yaml

_WORDS: dict[str, tuple[str, ...]] = {
    "order_id": ("order id", "order number", "order no", "order", "bestellnummer", "invoice"),
    "timestamp": ("timestamp", "created at", "order date", "paid at", "date", "time", "datum"),
    "user_id": (
        "user id",
        "customer id",
        "customer number",
        "customer no",
        "customer",
        "kundennummer",
    ),
    "email": ("email", "e mail", "email address", "customer email", "mail"),
    "total": ("total", "order total", "grand total", "amount", "gesamt", "summe"),
    "revenue": ("revenue", "net total", "subtotal"),
    "shipping": ("shipping", "shipping cost", "versand"),
    "tax": ("tax", "taxes", "vat", "mwst"),
    "discount": ("discount", "discount amount", "rabatt"),
    "currency": ("currency", "currency code", "waehrung"),
    "product_id": ("product id", "sku", "item sku", "article", "artikelnummer", "lineitem sku"),
    "product": ("product name", "product", "item", "item name", "lineitem name", "artikel"),
    "price": ("price", "unit price", "item price", "lineitem price", "preis"),
    "quantity": ("quantity", "qty", "count", "menge", "lineitem quantity"),
    "firstName": ("first name", "firstname", "vorname"),
    "lastName": ("last name", "lastname", "surname", "nachname"),
    "phone": ("phone", "phone number", "telephone", "telefon"),
}
_AMOUNTS = ("revenue", "shipping", "tax", "discount", "total", "currency")


def suggest(columns: Sequence[str], first: Iterable[dict[str, object]]) -> str:
    """YAML with comments; ``first`` rows are shown as they are."""
    found = _matched(columns)
    at = found.get("timestamp")
    who: dict[str, object] = {name: found[name] for name in ("user_id", "email") if name in found}
    order = found.get("order_id")
    said: dict[str, object] = {}
    if order and ("product_id" in found or "product" in found):
        said["group_by"] = order
    said |= {"type": "track", "event": "Order Completed"} if order else {"type": "identify"}
    said["timestamp"] = at or "THE COLUMN OF THE TIME"
    if order and "group_by" not in said:
        said["id"] = order
    said |= who or {"user_id": "THE COLUMN OF THE CUSTOMER"}
    if order:
        said["properties"] = {"order_id": order} | _named(found, _AMOUNTS)
        products = _named(found, ("product_id", "price", "quantity"))
        if "product" in found:
            products["name"] = found["product"]
        if products:
            said["products"] = products
    else:
        said["traits"] = _named(found, ("firstName", "lastName", "phone")) or {"name": "A COLUMN"}
    head = [
        "# A draft: look at each line, then try it with --dry-run. See docs/import.md.",
        *(f"# {name}: {_samples(name, first)}" for name in columns),
        "# Uncomment what fits: nothing is guessed about amounts and times.",
        '# decimal: ","',
        '# thousands: "."',
        "# timezone: Europe/Berlin",
        '# time_format: "%d.%m.%Y %H:%M"',
    ]
    return "\n".join(head) + "\n" + yaml.safe_dump(said, sort_keys=False, allow_unicode=True)


def _matched(columns: Sequence[str]) -> dict[str, str]:
    folded = {" ".join(re.split(r"[\W_]+", name.lower())).strip(): name for name in columns}
    found: dict[str, str] = {}
    for field, words in _WORDS.items():
        for word in words:
            if word in folded and folded[word] not in found.values():
                found[field] = folded[word]
                break
    return found


def _named(found: dict[str, str], names: Iterable[str]) -> dict[str, str]:
    return {name: found[name] for name in names if name in found}


def _samples(name: str, rows: Iterable[dict[str, object]]) -> str:
    texts = [str(row[name]) for row in rows if row.get(name) is not None]
    return " | ".join(" ".join(text.split())[:40] for text in texts[:3])
