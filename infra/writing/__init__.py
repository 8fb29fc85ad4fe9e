"""The one write path: works are decided in turn, in memory, and appended together."""
