"""The schedule of pushes, and the notices of devices."""

from __future__ import annotations

import asyncio

from nexxus.domain.pushes import RESYNC, PushNotice
from nexxus.interfaces.registry import LOOK_EVERY, MAX_NOTICES, Presence, Registry
from nexxus.testing.registry_kit.materials import (
    TRANSPORT,
    AnyRegistry,
    persistent,
    route_to,
    take_all,
)


def notice(number: int) -> PushNotice:
    """A notice about the object of that number."""
    return PushNotice("model_created", "channel", "task", str(number), 1, title="New ✓")


class PushesConformance(AnyRegistry):
    """Devices are due when they should be, and each for one caller."""

    async def test_a_notice_is_taken_when_it_is_due(self, registry: Registry, app: str) -> None:
        await registry.pushes.add(app, ["later"], notice(1), within=3600)
        await registry.pushes.add(app, ["now", "also now"], notice(2), within=0)
        due = await take_all(registry, app, 2)
        assert sorted(each.device_id for each in due) == ["also now", "now"]
        assert {(each.notices, each.attempts) for each in due} == {((notice(2),), 0)}

    async def test_notices_wait_for_each_other_in_their_order(
        self, registry: Registry, app: str
    ) -> None:
        for number in (3, 1, 2, 1):
            await registry.pushes.add(app, ["d1"], notice(number), within=0)
        (due,) = await take_all(registry, app, 1)
        assert due.notices == (notice(3), notice(1), notice(2))

    async def test_the_earliest_moment_counts(self, registry: Registry, app: str) -> None:
        await registry.pushes.add(app, ["d1"], notice(1), within=0)
        await registry.pushes.add(app, ["d1"], notice(2), within=3600)
        await registry.pushes.schedule(app, "d1", 3600)
        (due,) = await take_all(registry, app, 1)
        assert due.notices == (notice(1), notice(2))

    async def test_a_device_may_be_due_without_a_notice(self, registry: Registry, app: str) -> None:
        await registry.pushes.schedule(app, "d1", 0)
        (due,) = await take_all(registry, app, 1)
        assert (due.device_id, due.notices) == ("d1", ())

    async def test_a_taken_device_is_nobody_elses_until_its_lease_ends(
        self, registry: Registry, app: str
    ) -> None:
        await registry.pushes.add(app, ["d1"], notice(1), within=0)
        await take_all(registry, app, 1, lease=0.2)
        (again,) = await take_all(registry, app, 1)
        assert again.notices == (notice(1),)
        assert await take_all(registry, app, 0) == []

    async def test_of_concurrent_takers_each_device_has_one(
        self, registry: Registry, app: str
    ) -> None:
        devices = {f"d{number}" for number in range(60)}
        await registry.pushes.add(app, sorted(devices), notice(1), within=0)
        taken = await asyncio.gather(*(registry.pushes.take(20, lease=60) for _ in range(6)))
        found = [each.device_id for some in taken for each in some if each.app_id == app]
        assert len(found) == len(set(found))

    async def test_what_is_done_is_not_taken_again(self, registry: Registry, app: str) -> None:
        await registry.pushes.add(app, ["d1", "d2"], notice(1), within=0)
        for due in await take_all(registry, app, 2, lease=0.1):
            await registry.pushes.done(due, again_in=0 if due.device_id == "d2" else None)
        (again,) = await take_all(registry, app, 1)
        assert (again.device_id, again.notices) == ("d2", ())

    async def test_what_is_added_meanwhile_stays(self, registry: Registry, app: str) -> None:
        await registry.pushes.add(app, ["d1"], notice(1), within=0)
        (due,) = await take_all(registry, app, 1)
        await registry.pushes.add(app, ["d1"], notice(2), within=0)
        await registry.pushes.done(due, again_in=None)
        (rest,) = await take_all(registry, app, 1)
        assert rest.notices == (notice(2),)

    async def test_what_failed_comes_again_and_is_counted(
        self, registry: Registry, app: str
    ) -> None:
        await registry.pushes.add(app, ["d1"], notice(1), within=0)
        for attempts, failed in ((0, True), (1, True), (2, False), (2, False)):
            (due,) = await take_all(registry, app, 1)
            assert (due.attempts, due.notices) == (attempts, (notice(1),))
            await registry.pushes.retry(due, 0, failed=failed)
        (due,) = await take_all(registry, app, 1)
        await registry.pushes.done(due, again_in=0)
        (after,) = await take_all(registry, app, 1)
        assert after.attempts == 0

    async def test_of_too_many_notices_the_oldest_go(self, registry: Registry, app: str) -> None:
        for number in range(MAX_NOTICES + 2):
            await registry.pushes.add(app, ["d1"], notice(number), within=0)
        (due,) = await take_all(registry, app, 1)
        assert due.notices == tuple(notice(number) for number in range(2, MAX_NOTICES + 2))

    async def test_a_device_that_goes_away_is_not_due_before_its_look(
        self, registry: Registry, app: str
    ) -> None:
        presence = Presence(app, "d1", "n1", TRANSPORT, "c1")
        await registry.presence.connect(presence)
        await registry.subscriptions.put(persistent(route_to(app), "d1"), TRANSPORT, "n1")
        await registry.presence.disconnect(presence)
        assert LOOK_EVERY > 60
        assert await take_all(registry, app, 0) == []
        await registry.pushes.add(app, ["d1"], RESYNC, within=0)
        (due,) = await take_all(registry, app, 1)
        assert due.device_id == "d1"

    async def test_notices_survive_a_restart(self, registry: Registry, app: str) -> None:
        await registry.pushes.add(app, ["d1"], notice(1), within=0)
        reopened = await self.reopen(registry)
        try:
            (due,) = await take_all(reopened, app, 1)
            assert due.notices == (notice(1),)
        finally:
            await reopened.close()

    async def test_dropping_an_application_drops_its_pushes(
        self, registry: Registry, app: str
    ) -> None:
        await registry.pushes.add(app, ["d1"], notice(1), within=0)
        await registry.drop(app)
        assert await take_all(registry, app, 0) == []
        await registry.pushes.schedule(app, "d1", 0)
        (due,) = await take_all(registry, app, 1)
        assert due.notices == ()
