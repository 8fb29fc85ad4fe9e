"""FHIR to the plan's facts: each resource in the module of its name, begun in documents.py."""
