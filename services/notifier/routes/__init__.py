"""The notifier's HTTP routes, one noun a file."""
