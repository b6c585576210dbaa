"""Traits beyond the fold: whom to believe, what they were, and the whole profile of the past."""
