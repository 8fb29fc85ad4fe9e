"""The ingest pipeline, its translators, and Kafka."""
