"""Where and how we run: settings, PostgreSQL, Kafka, keys, telemetry."""
