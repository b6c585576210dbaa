"""What the demo shop sells, and who comes: all invented, and the same in every run."""

from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import Any

SHOP = "https://corner-main.example"


@dataclass(frozen=True)
class Product:
    """One thing on the shelf; the price is in whatever currency the customer pays in."""

    id: str
    name: str
    category: str
    brand: str
    price: Decimal

    def line(self, quantity: int = 1) -> dict[str, Any]:
        """As e-commerce events name it."""
        return {
            "product_id": self.id,
            "name": self.name,
            "category": self.category,
            "brand": self.brand,
            "price": str(self.price),
            "quantity": quantity,
        }


def _shelf() -> tuple[Product, ...]:
    stock = {
        ("shoes", "Lindqvist"): (
            ("Harbour sneaker", "89.00"),
            ("Meadow sandal", "59.50"),
            ("Quarry boot", "149.00"),
            ("Corridor loafer", "119.00"),
            ("Tram runner", "99.90"),
        ),
        ("jackets", "North Pier"): (
            ("Drizzle parka", "179.00"),
            ("Attic cardigan", "74.90"),
            ("Ferry windbreaker", "95.00"),
        ),
        ("bags", "Osei & Daughters"): (
            ("Market tote", "39.00"),
            ("Signal backpack", "84.00"),
            ("Platform weekender", "129.00"),
        ),
        ("kitchen", "Plain Clay"): (
            ("Tuesday mug", "14.50"),
            ("Long table bowl", "22.00"),
            ("Slow kettle", "64.00"),
            ("Corner teapot", "48.75"),
        ),
        ("paper", "Inkwood"): (
            ("Margin notebook", "12.00"),
            ("Night map poster", "27.50"),
        ),
    }
    goods = [(kind, brand, *item) for (kind, brand), items in stock.items() for item in items]
    return tuple(
        Product(f"cm-{number:03}", name, kind, brand, Decimal(price))
        for number, (kind, brand, name, price) in enumerate(goods, 1)
    )


PRODUCTS = _shelf()
CATEGORIES = tuple(dict.fromkeys(product.category for product in PRODUCTS))
SEARCHES = ("waterproof", "gift", "blue", "sale", "wool", "something for rain", "size 42")
_FIRST = (
    *("Amara", "Bruno", "Chloe", "Dmitri", "Elif", "Femi", "Greta", "Hugo", "Ines", "Jonas"),
    *("Keiko", "Lars", "Mina", "Noor", "Otis", "Paula", "Quinn", "Rosa", "Sanjay", "Tove"),
)
_LAST = (
    *("Abara", "Bergstrom", "Castell", "Dorn", "Eriksen", "Falk", "Giordani", "Hartwell"),
    *("Ilves", "Jansky", "Kovar", "Lund", "Moreau", "Nakai", "Okafor", "Prins", "Rask", "Soler"),
)
_HOMES = (
    *(("US", "Portland", "USD"), ("US", "Austin", "USD"), ("US", "Boston", "USD")),
    *(("DE", "Leipzig", "EUR"), ("NL", "Utrecht", "EUR"), ("GB", "Leeds", "GBP")),
)


@dataclass(frozen=True)
class Person:
    """Somebody with an account at the shop and two devices."""

    user_id: str
    first: str
    last: str
    email: str
    country: str
    city: str
    currency: str
    devices: tuple[str, str]
    """The anonymousId of each."""
    taste: str
    """The category they look at most."""

    @property
    def traits(self) -> dict[str, Any]:
        """What the shop tells about them at login."""
        return {
            "email": self.email,
            "firstName": self.first,
            "lastName": self.last,
            "name": f"{self.first} {self.last}",
            "address": {"city": self.city, "country": self.country},
            "country": self.country,
        }


def population(size: int) -> list[Person]:
    """Everybody with an account: the same people in every run, so that some come back."""
    random = Random("corner-main")
    people = []
    for number in range(1, size + 1):
        first, last = random.choice(_FIRST), random.choice(_LAST)
        country, city, currency = random.choice(_HOMES)
        people.append(
            Person(
                user_id=f"cm-{number:04}",
                first=first,
                last=last,
                email=f"{first}.{last}.{number}@mail.example".lower(),
                country=country,
                city=city,
                currency=currency,
                devices=(
                    f"phone-{random.getrandbits(48):012x}",
                    f"web-{random.getrandbits(48):012x}",
                ),
                taste=random.choices(CATEGORIES, (5, 2, 2, 2, 1))[0],
            )
        )
    return people
