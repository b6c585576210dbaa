"""The ingest service: it accepts events over HTTP and answers once Kafka has them."""
