"""Facts as people read them: sentences and parts of sentences."""
