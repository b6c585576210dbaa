"""Webhooks: what providers post on their own, turned into events. One provider a file."""
