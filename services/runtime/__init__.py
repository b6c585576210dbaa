"""Plumbing without domain words: the stage, its timers, settings, HTTP frame, metrics, logs."""
