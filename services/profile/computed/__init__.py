"""Computed traits as people declare them: the API's part. ``build/rules`` computes them."""
