"""Decisions of segmentation, pure: every instant is an argument, nothing is read or written."""
