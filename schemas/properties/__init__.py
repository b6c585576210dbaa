"""What is known of the properties of known events: one msgspec Struct for each shape.

The Structs are the contract (JSON Schema, docs/events.md, typed reading), and the source
from which ``tidy`` learns names and kinds. Properties beyond them are welcome and kept.
"""
