"""Consent: what people said, who recorded it, and whether we may write to them because of it."""
