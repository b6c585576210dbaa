"""Who a person is, and what is known of them: two stages, resolve and build, and one API."""
