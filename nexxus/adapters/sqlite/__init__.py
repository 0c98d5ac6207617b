"""The embedded database in one file; ``database.py`` implements the interface."""
