"""What makes the log provable to someone who does not trust whoever runs it."""
