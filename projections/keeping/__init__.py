"""Bringing tables of documents forward along the log, person by person."""
