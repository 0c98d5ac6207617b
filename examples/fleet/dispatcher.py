"""Subscribes to the vehicles on the road: one filtered channel, kept correct by versions."""

import asyncio
import json
import sys
from typing import Any

import httpx2
from websockets.asyncio.client import connect

URL = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080"
ON_THE_ROAD = {"model": "vehicle", "filter": {"status": "in_transit"}, "limit": 1000}


class View:
    """A channel's objects. `apply` returns what an event did, or that a new page is needed."""

    def __init__(self, page: list[dict[str, Any]]) -> None:
        self.objects = {item["id"]: item for item in page}
        self._left: dict[str, int] = {}

    def apply(self, event: dict[str, Any]) -> str:
        model = event["model"]
        name, version = model["id"], model["version"]
        known = self.objects.get(name, {}).get("version", self._left.get(name, 0))
        if version <= known:
            return "no change"
        if event["event"] == "model_created":
            self.objects[name] = model
            return "sets out"
        if event["event"] == "model_deleted":
            self._left[name] = version
            self.objects.pop(name, None)
            return "parks" if event["reason"] == "left" else "is gone"
        if name not in self.objects or version != known + 1:
            return "unclear"
        for patch in event["patches"]:
            for path, value in zip(patch["path"], patch.get("value", [None]), strict=True):
                change(self.objects[name], patch["op"], path.split("."), value)
        self.objects[name]["version"] = version
        return "moves"


def change(node: dict[str, Any], op: str, path: list[str], value: Any) -> None:
    """Apply one operation; without arrays in the model, no other operations occur."""
    for part in path[:-1]:
        node = node.setdefault(part, {})
    if op == "remove":
        node.pop(path[-1], None)
    else:
        node[path[-1]] = value if op == "replace" else node[path[-1]] + value


async def main() -> None:
    async with httpx2.AsyncClient(base_url=URL, headers={"nxx-app-id": "fleet"}) as http:
        device = (await http.post("/device/register", json={"name": "dispatcher"})).json()
    async with connect(f"ws{URL.removeprefix('http')}/ws") as socket:

        async def send(event: str, data: Any, **more: Any) -> None:
            await socket.send(json.dumps({"event": event, "data": data, **more}))

        await send("register", {"token": device["token"]})
        await send("subscribe", ON_THE_ROAD, ref="page")
        view: View | None = None
        early = []  # events may arrive before the reply to the subscription
        async for message in socket:
            frame = json.loads(message)
            if frame["event"] == "reply":
                view = View(frame["data"]["data"]["items"])
                for event in early:
                    view.apply(event)
                early.clear()
            elif frame["event"].startswith("model_") and view is None:
                early.append(frame["data"])
            elif frame["event"].startswith("model_"):
                what = view.apply(frame["data"])
                if what == "unclear":  # simplest solution: read the page again
                    await send("subscribe", ON_THE_ROAD, ref="page")
                    view = None
                    continue
                print(
                    f"{frame['data']['model']['id']:<7} {what:<9} {len(view.objects)} on the road"
                )


asyncio.run(main())
