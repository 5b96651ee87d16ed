"""The parts of the scheduler in Python: entries, due times, the database. Internal: modules must not import them."""
