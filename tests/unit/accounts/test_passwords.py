"""How passwords are stored by default."""

from __future__ import annotations

from nexxus.accounts.passwords import Passwords
from nexxus.config.sections import AuthSection


async def test_the_default_hash_is_argon2id_at_its_full_cost() -> None:
    section = AuthSection()
    passwords = Passwords(
        time_cost=section.time_cost,
        memory_cost=section.memory_cost,
        parallelism=section.parallelism,
    )

    stored = await passwords.hash("correct horse")

    assert stored.startswith("$argon2id$v=19$m=65536,t=3,p=1$")
    assert await passwords.verify(stored, "correct horse")
    assert not await passwords.verify(stored, "correct house")
    passwords.close()
