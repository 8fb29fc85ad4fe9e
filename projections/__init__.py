"""The read side: pure folds, their engine and their queries."""
