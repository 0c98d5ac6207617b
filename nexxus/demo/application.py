"""The application `demo`: its document, and its creation on a server."""

from __future__ import annotations

from typing import Any, Final

import httpx2

APP_ID: Final = "demo"

APPLICATION: Final[dict[str, Any]] = {
    "id": APP_ID,
    "name": "Departures",
    "description": "A departures board: 2,000 real flights of 2001, replayed in fast motion.",
    "defaultLimit": 100,
    "maxLimit": 1000,
    "schema": {
        "flight": {
            "fields": {
                "origin": {"type": "string", "required": True, "filterable": True},
                "destination": {"type": "string", "required": True, "filterable": True},
                "scheduled": {"type": "date", "required": True, "filterable": True},
                "status": {"type": "string", "required": True, "filterable": True},
                "delay": {"type": "int", "filterable": True},
                "distance": {"type": "int", "filterable": True},
                "gate": {"type": "string"},
            }
        },
        # Each page writes to its own probe to measure how long a write takes to come back.
        "probe": {"fields": {"beat": {"type": "int"}}},
    },
}
"""There are no users: anyone who can reach the server may read and write. `delay` is in minutes,
`distance` in miles, `status` is ``scheduled``, ``delayed``, ``boarding`` or ``departed``."""


async def ensure_application(http: httpx2.AsyncClient, admin_key: str) -> None:
    """Create the application, or update the one from an earlier start.

    `http` has the API's address as its base. Raises `httpx2.HTTPError` if the server refuses.
    """
    headers = {"Authorization": f"Bearer {admin_key}"}
    created = await http.post("/admin/applications", json=APPLICATION, headers=headers)
    if created.status_code != httpx2.codes.CONFLICT:
        created.raise_for_status()
        return
    address = f"/admin/applications/{APP_ID}"
    replaced = await http.put(address, json=APPLICATION, headers=headers)
    if replaced.status_code == httpx2.codes.BAD_REQUEST:
        # Flights stored by another release do not fit this schema; they may be deleted.
        (await http.delete(address, headers=headers)).raise_for_status()
        replaced = await http.post("/admin/applications", json=APPLICATION, headers=headers)
    replaced.raise_for_status()
