"""A client's copy of a channel, kept as the contract tells a client to keep it.

While at it, a view holds the server to its promises: what an event, a page or a patched copy
says about a version of an object must be the same for everybody (`Ledger`), and a channel's
events come in the order of the versions.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

Document = dict[str, Any]
Reader = Callable[["View", str], Awaitable[Document | None]]

CREATED, UPDATED, DELETED = "model_created", "model_updated", "model_deleted"
PAGING = ("limit", "offset", "sort")


class Ledger:
    """What anybody has ever seen of an object at a version; one for all clients of a test."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str, str, int], Document] = {}

    def note(self, document: Document, how: str) -> None:
        """Hold `document` against what the others saw of the same version."""
        key = (document["appId"], document["type"], document["id"], document["version"])
        known = self._seen.get(key)
        if known is None:
            self._seen[key] = copy.deepcopy(document)
            return
        assert known == document, f"two faces of {key}, by {how}:\n{known}\n{document}"


class View:
    """The objects of one channel as this client knows them, by id.

    `named` are the ids that the first page held or an event has named since; with `complete`
    the first page held everything that matched. `transients` are the events of a transient
    model, which have no versions and are not kept.
    """

    def __init__(self, descriptor: Document, ledger: Ledger, read: Reader) -> None:
        self.descriptor = {k: v for k, v in descriptor.items() if k not in PAGING}
        self.paging = {k: v for k, v in descriptor.items() if k in PAGING}
        self.channel_id = ""
        self.items: dict[str, Document] = {}
        self.named: set[str] = set()
        self.complete = False
        self.transients: list[Document] = []
        self.may_repeat = False
        self.rereads = 0
        self._ledger = ledger
        self._read = read
        self._last: dict[str, int] = {}
        self._kept: list[tuple[int, str, Document]] = []
        self._pages_expected = 0
        self._pages_asked = 0
        self._page_taken = 0
        self._repairs: dict[str, list[tuple[str, Document]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def search_body(self) -> Document:
        """The descriptor as a search's body, without the model."""
        return {k: v for k, v in self.descriptor.items() if k != "model"}

    @property
    def is_settled(self) -> bool:
        """No page and no single object is being read."""
        return not self._pages_expected and not self._tasks

    # Pages

    def expect_page(self) -> int:
        """A page is being asked for: events are kept until it is there, or given up.

        The number of the page, for `take_page`.
        """
        self._pages_expected += 1
        self._pages_asked += 1
        self._last.clear()
        return self._pages_asked

    def take_page(self, number: int, items: Iterable[Document], *, complete: bool) -> None:
        """The page is there; what was kept applies on top of it.

        One that was overtaken by a page asked for later may be older than what that page's
        subscription has told, and is left aside.
        """
        page = {item["id"]: item for item in items}
        for item in page.values():
            self._ledger.note(item, "a page")
        if number > self._page_taken:
            self._page_taken = number
            self.items = page
            self.complete = complete
            self.named = set(page)
        self._end_page()

    def give_up_page(self) -> None:
        """The page will not come; another one is asked for later."""
        self._end_page()

    def _end_page(self) -> None:
        self._pages_expected -= 1
        # What came before the page was asked for is in it already. A `denied` that is older than
        # the page must not take away what is permitted again.
        kept = [(kind, data) for asked, kind, data in self._kept if asked >= self._page_taken]
        # Of two pages that were asked for, the first answered need not be the older one: the
        # events are kept until both are there.
        if not self._pages_expected:
            self._kept.clear()
        for kind, data in kept:
            self.named.add(data["model"]["id"])
            if data["model"]["id"] in self._repairs:
                self._repairs[data["model"]["id"]].append((kind, data))
            else:
                self._apply(kind, data)

    # Events

    def feed(self, kind: str, data: Document) -> None:
        """An event for this channel has arrived."""
        model = data["model"]
        if "version" not in model:
            assert kind == CREATED, data
            self.transients.append(model)
            return
        object_id, version = model["id"], model["version"]
        last = self._last.get(object_id, 0)
        in_order = version > last or (self.may_repeat and version <= last)
        # What a change of roles takes away is not a write: it may name any version.
        assert in_order or data.get("reason") == "denied", (
            f"{self.channel_id}: {kind} v{version} of {object_id} after v{last}"
        )
        self._last[object_id] = version
        self._take(kind, data)

    def _take(self, kind: str, data: Document) -> None:
        object_id = data["model"]["id"]
        self.named.add(object_id)
        if object_id in self._repairs:
            self._repairs[object_id].append((kind, data))
        elif self._pages_expected:
            self._kept.append((self._pages_asked, kind, data))
        else:
            self._apply(kind, data)

    def _apply(self, kind: str, data: Document) -> None:
        model = data["model"]
        object_id, version = model["id"], model["version"]
        mine = self.items.get(object_id)
        if kind == DELETED:
            if mine is not None and (data["reason"] == "denied" or version > mine["version"]):
                del self.items[object_id]
        elif mine is not None and version <= mine["version"]:
            return
        elif kind == CREATED:
            self._ledger.note(model, "a created event")
            self.items[object_id] = model
        elif mine is not None and version == mine["version"] + 1:
            patched = patch_copy(mine, data["patches"])
            patched["version"] = version
            self._ledger.note(patched, f"the patches {data['patches']}")
            self.items[object_id] = patched
        else:
            self._repairs[object_id] = []
            task = asyncio.create_task(self._repair(object_id, version))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _repair(self, object_id: str, at_least: int) -> None:
        self.rereads += 1
        page = self._page_taken
        document = await self._read(self, object_id)
        if self._page_taken != page:
            pass  # the reading may be older than the page, which is whole by itself
        elif document is None:
            self.items.pop(object_id, None)
        else:
            assert document["version"] >= at_least, f"read after v{at_least}: {document}"
            self._ledger.note(document, "a reading through the channel")
            mine = self.items.get(object_id)
            if mine is None or mine["version"] < document["version"]:
                self.items[object_id] = document
        for kind, data in self._repairs.pop(object_id):
            self._take(kind, data)

    # Judgement

    def differences(self, truth: dict[str, Document]) -> list[str]:
        """How this view differs from the database's answer; nothing when it has converged."""
        judged = set(truth) | set(self.items) if self.complete else self.named | set(self.items)
        found = []
        for object_id in sorted(judged):
            mine, theirs = self.items.get(object_id), truth.get(object_id)
            if mine != theirs:
                found.append(f"{self.channel_id} {object_id}:\n  view {mine}\n  database {theirs}")
        return found


def patch_copy(document: Document, patches: list[Document]) -> Document:
    """`document` with an event's patches applied, knowing nothing of the schema."""
    result: Document = copy.deepcopy(document)
    for patch in patches:
        paths, values = patch["path"], patch.get("value")
        if isinstance(paths, str):
            paths, values = [paths], [values]
        elif patch["op"] == "remove":
            values = [None] * len(paths)
        assert isinstance(values, list), patch
        assert len(values) == len(paths), patch
        for path, value in zip(paths, values, strict=True):
            _patch_path(result, patch["op"], path.split("."), value)
    return result


def _patch_path(document: Document, op: str, path: list[str], value: Any) -> None:
    *parents, leaf = path
    holder = document
    for name in parents:
        assert op == "replace" or name in holder, f"{op} under {name}, which is unset"
        if not isinstance(holder.get(name), dict):
            holder[name] = {}
        holder = holder[name]
    if op == "replace":
        holder[leaf] = copy.deepcopy(value)
        return
    old = holder[leaf]  # anything but a replace builds on what is there
    if op == "remove":
        del holder[leaf]
    elif op in ("incr", "decr"):
        holder[leaf] = old + value if op == "incr" else old - value
    elif isinstance(old, str):
        holder[leaf] = old + value if op == "append" else value + old
    else:
        added = value if isinstance(value, list) else [value]
        holder[leaf] = [*old, *added] if op == "append" else [*added, *old]
