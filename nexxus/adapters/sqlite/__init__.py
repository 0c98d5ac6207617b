"""The embedded database: one SQLite file."""

from nexxus.adapters.sqlite.database import SqliteDatabase, SqliteSettings

__all__ = ["SqliteDatabase", "SqliteSettings"]
