"""The feed for other teams: everybody at once, and every change by webhook."""
