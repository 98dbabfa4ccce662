"""Two revisions' scores compared."""
