"""Suggestions: who may be one person, though nobody has said so. People decide; nothing merges."""
