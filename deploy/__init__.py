"""How Regulars is run: the local stack, the demo, the container image."""
