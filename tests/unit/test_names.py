"""One word means one thing: no two modules define a class of the same name.

A kit's classes are parts of one class for an adapter's author, who never sees two kits at once.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import nexxus

ROOT = Path(nexxus.__file__).parent


def test_no_class_shares_its_name_with_another() -> None:
    defined: dict[str, list[str]] = defaultdict(list)
    for path in ROOT.rglob("*.py"):
        if ROOT / "testing" in path.parents:
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                defined[node.name].append(str(path.relative_to(ROOT)))
    twice = {name: paths for name, paths in defined.items() if len(paths) > 1}
    assert twice == {}
