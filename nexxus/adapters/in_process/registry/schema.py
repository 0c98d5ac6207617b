"""The tables of ``registry.sqlite3``.

Structs are kept as the JSON that msgspec makes of them, next to the columns that are searched
by. Everything that ends has `expires_at` in UNIX seconds; readers compare it, and
`nexxus.adapters.in_process.registry.expiry` removes what is over.
"""

from typing import Final

SCHEMA: Final = (
    """
    CREATE TABLE IF NOT EXISTS devices (
        place INTEGER PRIMARY KEY,
        app_id TEXT NOT NULL,
        id TEXT NOT NULL,
        user_id TEXT,
        device TEXT NOT NULL,
        UNIQUE (app_id, id)
    )
    """,
    """
    CREATE INDEX IF NOT EXISTS devices_of_user ON devices (app_id, user_id)
    WHERE user_id IS NOT NULL
    """,
    """
    CREATE TABLE IF NOT EXISTS sessions (
        app_id TEXT NOT NULL,
        id TEXT NOT NULL,
        device_id TEXT NOT NULL,
        user_id TEXT,
        generation INTEGER NOT NULL,
        expires_at REAL NOT NULL,
        session TEXT NOT NULL,
        UNIQUE (app_id, id),
        UNIQUE (app_id, device_id)
    )
    """,
    """
    CREATE INDEX IF NOT EXISTS sessions_of_user ON sessions (app_id, user_id)
    WHERE user_id IS NOT NULL
    """,
    "CREATE INDEX IF NOT EXISTS sessions_by_end ON sessions (expires_at)",
    """
    CREATE TABLE IF NOT EXISTS subscriptions (
        place INTEGER PRIMARY KEY,
        app_id TEXT NOT NULL,
        device_id TEXT NOT NULL,
        channel_id TEXT NOT NULL,
        subscription TEXT NOT NULL,
        UNIQUE (app_id, device_id, channel_id)
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS push_schedule (
        app_id TEXT NOT NULL,
        device_id TEXT NOT NULL,
        due_at REAL NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        UNIQUE (app_id, device_id)
    )
    """,
    "CREATE INDEX IF NOT EXISTS push_schedule_by_time ON push_schedule (due_at)",
    """
    CREATE TABLE IF NOT EXISTS push_notices (
        place INTEGER PRIMARY KEY AUTOINCREMENT,
        app_id TEXT NOT NULL,
        device_id TEXT NOT NULL,
        notice TEXT NOT NULL,
        UNIQUE (app_id, device_id, notice)
    )
    """,
    "CREATE TABLE IF NOT EXISTS running (since REAL NOT NULL)",
    """
    CREATE TABLE IF NOT EXISTS claims (
        app_id TEXT NOT NULL,
        name TEXT NOT NULL,
        value TEXT NOT NULL,
        expires_at REAL NOT NULL,
        UNIQUE (app_id, name)
    )
    """,
    "CREATE INDEX IF NOT EXISTS claims_by_end ON claims (expires_at)",
    """
    CREATE TABLE IF NOT EXISTS fates (
        app_id TEXT NOT NULL,
        operation_id TEXT NOT NULL,
        is_final INTEGER NOT NULL,
        expires_at REAL NOT NULL,
        fate TEXT NOT NULL,
        UNIQUE (app_id, operation_id)
    )
    """,
    "CREATE INDEX IF NOT EXISTS fates_by_end ON fates (expires_at)",
)

TABLES: Final = (
    "devices",
    "sessions",
    "subscriptions",
    "push_schedule",
    "push_notices",
    "claims",
    "fates",
)
"""The tables with rows of applications."""

EXPIRING: Final = ("sessions", "claims", "fates")
