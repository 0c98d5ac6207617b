"""Twenty vehicles that set out, park and report their positions until interrupted."""

import asyncio
import random
import sys
from asyncio import TaskGroup

import httpx2

URL = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080"


async def drive(http: httpx2.AsyncClient, number: int, chance: random.Random) -> None:
    vehicle = f"van-{number}"
    at = {"lat": 44.43 + chance.uniform(-0.1, 0.1), "lon": 26.10 + chance.uniform(-0.1, 0.1)}
    # If the vehicle exists from an earlier run, this operation is rejected, which is fine.
    start = {"id": vehicle, "plate": f"B {100 + number} NXX", "status": "parked", "position": at}
    await http.post("/model/vehicle", json=start)
    while True:
        on_the_road = chance.random() < 0.6
        at = {axis: round(value + chance.uniform(-0.002, 0.002), 5) for axis, value in at.items()}
        patches = [
            {
                "op": "replace",
                "path": ["status", "position.lat", "position.lon"],
                "value": ["in_transit" if on_the_road else "parked", at["lat"], at["lon"]],
            },
            {"op": "incr", "path": "odometer", "value": 1 if on_the_road else 0},
        ]
        answer = await http.put(f"/model/vehicle/{vehicle}", json={"patch": patches})
        answer.raise_for_status()
        await asyncio.sleep(chance.uniform(0.5, 2))


async def main() -> None:
    headers = {"nxx-app-id": "fleet"}
    async with httpx2.AsyncClient(base_url=URL, headers=headers) as http, TaskGroup() as fleet:
        for number in range(20):
            fleet.create_task(drive(http, number, random.Random(number)))


asyncio.run(main())
