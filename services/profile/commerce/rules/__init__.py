"""How carts, wishlists, subscriptions and conversations come out of events, in any order."""
