"""console shows: pages for marketers, support and managers. No state of its own."""
