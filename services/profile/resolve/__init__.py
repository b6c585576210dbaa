"""The stage ``profile-resolve``: WHO is it? Every event once, resolved to a person."""
