"""Writes ``docs/conformance-kits.md`` from the templates.

``python -m nexxus.scaffold.reference`` prints it; ``make reference`` writes it.
"""

from __future__ import annotations

import sys
import textwrap
from typing import Final

from nexxus.scaffold.kinds import KINDS, NewKind
from nexxus.scaffold.package import NewPlugin, files_of

_NAME: Final = "acme"

_INTRODUCTION: Final = """\
# Conformance kits

A kit is a class of tests that an implementation of an interface passes when it keeps what the
interface's docstrings promise. The built-in adapters pass the same kits. Subclass the kit in a test
module, give it what it asks for, and run pytest.

```bash
nexxus plugins new acme --kind worker
cd nexxus-acme && pip install -e ".[test]" && pytest
```

writes a package that passes its kit at once; begin there. This page shows the two files that a kit
needs, as that command writes them. It is made from its templates by `make reference`.

`nexxus[kit]` installs what the kits need: pytest, pytest-asyncio and hypothesis.

## The project

```toml
# pyproject.toml
{pyproject}```

It is the same for every kind but for the description. `asyncio_mode = "auto"` is needed: tests and
fixtures of the kits are asynchronous.
"""


def markdown() -> str:
    """Return the page."""
    kinds = list(KINDS.values())
    project = files_of(NewPlugin(_NAME, kinds[0]))["pyproject.toml"]
    return "\n".join([_INTRODUCTION.format(pyproject=project), *map(_section, kinds)])


def _section(kind: NewKind) -> str:
    plugin = NewPlugin(_NAME, kind)
    path = f"tests/test_{kind.module}.py"
    title = f"{kind.title[:1].upper()}{kind.title[1:]}"
    return f"""\
## {title}: `{kind.kit}`

{textwrap.fill(kind.shows, 100, break_on_hyphens=False)}

```python
# {path}
{files_of(plugin)[path]}```
"""


if __name__ == "__main__":
    sys.stdout.write(markdown())
