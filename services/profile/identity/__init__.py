"""Identity over HTTP: why somebody is one person, and what people decide of it."""
