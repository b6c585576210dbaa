"""The build stage: WHAT do we know of a person? Traits, orders, consent, computed traits."""
