"""The embedded database in one file; ``database.py`` is its face."""
