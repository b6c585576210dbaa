"""The decisions of resolve: which identifiers an event carries, and whose it is. All pure."""
