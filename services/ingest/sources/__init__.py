"""The sources of events: who may send, with which keys, how much, and what became of it."""
