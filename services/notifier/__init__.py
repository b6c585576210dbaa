"""The notifier: says what, when, or why not, to people who enter a segment."""
