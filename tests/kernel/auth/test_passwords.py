"""Passwords: hashing off the event loop, and the rules."""

import asyncio
import re

import pytest
from argon2 import PasswordHasher
from hypothesis import given
from hypothesis import strategies as st

from kernel.auth import passwords
from kernel.auth.passwords import (
    hash_password,
    needs_rehash,
    password_problem,
    temporary_password,
    verify_password,
)

REAL = pytest.mark.usefixtures("real_hashes")


@REAL
async def test_a_password_fits_its_own_hash_only() -> None:
    stored = await hash_password("four-horses-run")
    assert stored.startswith("$argon2id$")
    assert stored != await hash_password("four-horses-run")
    assert await verify_password(stored, "four-horses-run")
    assert not await verify_password(stored, "four-horses-ran")
    assert not await verify_password(stored, "")
    assert not needs_rehash(stored)


@pytest.mark.parametrize("stored", ["", "plain", "$argon2id$v=19$broken", "$2b$12$abcdef"])
async def test_a_broken_hash_fits_nothing(stored: str) -> None:
    assert not await verify_password(stored, "four-horses-run")


@REAL
async def test_a_megabyte_of_password_is_not_hashed() -> None:
    stored = await hash_password("four-horses-run")
    assert not await verify_password(stored, "x" * 1_000_000)


@REAL
async def test_the_event_loop_goes_on_while_passwords_are_hashed() -> None:
    turns = 0
    hashing = asyncio.gather(*(hash_password(f"password number {n}") for n in range(4)))
    while not hashing.done():
        await asyncio.sleep(0.001)
        turns += 1
    await hashing
    # Hashing on the loop would give it one turn between two hashes.
    assert turns > 10


@REAL
def test_the_hash_of_nobody_takes_as_long_as_a_real_one() -> None:
    assert not needs_rehash(passwords.NOBODY)
    assert PasswordHasher().check_needs_rehash(PasswordHasher(time_cost=1).hash("x"))


@pytest.mark.parametrize(
    ("password", "problem"),
    [
        ("four-horses-run", None),
        ("十个汉字也可以做密码", None),
        ("short-one", "password_short"),
        ("", "password_short"),
        ("x" * 257, "password_long"),
        ("Wang.Fang.1986", "password_is_username"),
        ("6891.gnaf.gnaw", "password_is_username"),
        ("Password123", "password_common"),
        ("1234567890", "password_common"),
        ("5201314520", "password_common"),
        ("aaaaaaaaaaaa", "password_common"),
        ("abababababab", "password_common"),
    ],
)
def test_rules_for_a_new_password(password: str, problem: str | None) -> None:
    assert password_problem(password, "wang.fang.1986") == problem


@given(st.text(max_size=400))
def test_any_text_is_judged(password: str) -> None:
    password_problem(password, "wang.fang")


def test_temporary_passwords_are_acceptable_and_differ() -> None:
    made = {temporary_password() for _ in range(200)}
    assert len(made) == 200
    for one in made:
        assert re.fullmatch(r"[a-z2-9]{4}-[a-z2-9]{4}-[a-z2-9]{4}", one)
        assert not set("l1o0") & set(one)
        assert password_problem(one, "wang.fang") is None
