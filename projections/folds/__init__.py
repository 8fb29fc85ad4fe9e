"""The documents: one pure fold of a person's history each, and the one pass in which all of them run."""
