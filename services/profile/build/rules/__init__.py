"""How interactions become a profile: pure, and independent of the order of arrival."""
