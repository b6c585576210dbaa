"""Sales and returns of physical stores, as their tills upload them."""
