"""The services of Regulars. They meet in ``schemas/`` and on Kafka, never in each other."""
