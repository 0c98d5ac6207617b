"""Objects in an SQL database: what every such adapter needs, for any engine.

- `Dialect`: how one database spells conditions, orders and parameters;
- `compile_filter`: a filter as SQL that means exactly what the matcher means;
- `select_page`, `select_count`: a query as one statement, paged by keys;
- `Columns` and `plan_columns`: a column for each filterable path, while the
  schema changes.
"""

from nexxus.toolkit.sql.columns import Column, ColumnPlan, Columns, ColumnState, plan_columns
from nexxus.toolkit.sql.dialect import PARAMETER, Dialect, Sql
from nexxus.toolkit.sql.filters import MatchingRows, compile_filter
from nexxus.toolkit.sql.pages import select_count, select_page

__all__ = [
    "PARAMETER",
    "Column",
    "ColumnPlan",
    "ColumnState",
    "Columns",
    "Dialect",
    "MatchingRows",
    "Sql",
    "compile_filter",
    "plan_columns",
    "select_count",
    "select_page",
]
