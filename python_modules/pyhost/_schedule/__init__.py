"""The scheduler's own parts, in Python: entries, due times, the database. Not for modules to import."""
