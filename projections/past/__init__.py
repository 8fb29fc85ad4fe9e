"""What was known when: documents at any moment, and why a field says what it says."""
