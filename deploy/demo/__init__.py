"""The demo: a small shop that behaves like one, and a mail server that keeps what it gets."""
