"""A small mail server that keeps nothing: what is written to the shop goes on to ingest."""
