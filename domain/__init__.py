"""The rules: aggregates, their events and decisions."""
