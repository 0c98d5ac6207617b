"""The conformance kit for `nexxus.interfaces.database.Database`.

Subclass `DatabaseConformance` in a test module and give it a fixture `database` that yields an
open database (and closes it afterwards)::

    class TestMyDatabase(DatabaseConformance):
        @pytest.fixture
        async def database(self):
            database = MyDatabase(settings)
            await database.open()
            yield database
            await database.close()

and override `reopen`. The kit uses applications of its own, so a shared server will do.
"""

from nexxus.testing.database_kit.filters import FiltersConformance
from nexxus.testing.database_kit.models import (
    DroppingConformance,
    IsolationConformance,
    PreparingConformance,
)
from nexxus.testing.database_kit.opening import OpeningConformance, RestartConformance
from nexxus.testing.database_kit.pages import PagesConformance
from nexxus.testing.database_kit.records import CommittingConformance, LoadingConformance
from nexxus.testing.database_kit.tombstones import TombstonesConformance


class DatabaseConformance(
    OpeningConformance,
    RestartConformance,
    LoadingConformance,
    CommittingConformance,
    TombstonesConformance,
    PreparingConformance,
    DroppingConformance,
    IsolationConformance,
    FiltersConformance,
    PagesConformance,
):
    """What the docstrings of `Database` promise, a test each."""


__all__ = ["DatabaseConformance"]
