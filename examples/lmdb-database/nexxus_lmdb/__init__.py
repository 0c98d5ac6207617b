"""What this plugin offers to Nexxus. Imported at every start, so it imports little itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nexxus.hookspecs import Adapter, AdapterContext, hookimpl
from nexxus_lmdb.settings import LmdbSettings

if TYPE_CHECKING:
    from nexxus.interfaces.database import Database


def create(settings: LmdbSettings, context: AdapterContext) -> Database:
    # Imported here, so that what it needs is imported only if it is selected.
    from nexxus_lmdb.database import LmdbDatabase

    return LmdbDatabase(settings, data_dir=context.data_dir)


@hookimpl
def nexxus_databases() -> list[Adapter[Any, Database]]:
    return [
        Adapter(
            "lmdb",
            LmdbSettings,
            create,
            interface=1,
            scope="shared",
            summary="one LMDB file, for the processes of one machine",
        )
    ]
