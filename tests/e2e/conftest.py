"""What runs for the tests that play a shop."""

from tests.storefront import regulars, shop

__all__ = ["regulars", "shop"]
