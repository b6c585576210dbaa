"""Tracking plans: what a source has promised to send, and what comes of it when it does not."""
