"""Passwords: argon2id in threads of their own, and the rules for a new one.

A hash takes 0.1 s and 64 MiB (RFC 9106, second recommended option). Two threads bound what a flood
of logins can take; the event loop never waits.
"""

import asyncio
import secrets
from concurrent.futures import ThreadPoolExecutor
from importlib import resources

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError
from argon2.profiles import RFC_9106_LOW_MEMORY

MIN_LENGTH = 10
# Argon2 takes any length; without a limit a login could send megabytes to hash.
MAX_LENGTH = 256

_hasher = PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)
_threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="argon2")

# Verified when there is no such user, so that a wrong name takes as long as a wrong password. It is
# the hash of random bytes that nobody kept, with the parameters of today (a test compares them).
NOBODY = (
    "$argon2id$v=19$m=65536,t=3,p=4$gMFF6EX888VRx/gMSSuuxw"
    "$ahEndJuFWQF6Mv9CNYwJOAlwPiQ4e1lE/ZUWP3/xE0U"
)

# What is tried first here: long enough for our rule, so lists of short ones are no use.
_COMMON = frozenset(
    resources.files("kernel.auth").joinpath("common_passwords.txt").read_text("utf-8").split()
)


async def hash_password(password: str) -> str:
    """Return the argon2id hash in PHC format."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_threads, _hasher.hash, password)


async def verify_password(stored: str, password: str) -> bool:
    """True when the password belongs to the hash; a hash that is not one is simply wrong."""
    if len(password) > MAX_LENGTH:
        password = ""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_threads, _verify, stored, password)


def _verify(stored: str, password: str) -> bool:
    try:
        return _hasher.verify(stored, password)
    except (VerifyMismatchError, VerificationError, InvalidHashError):
        return False


def needs_rehash(stored: str) -> bool:
    """True when the hash was made with other parameters than today's."""
    return _hasher.check_needs_rehash(stored)


def password_problem(password: str, username: str) -> str | None:
    """Return the code of what is wrong with a new password (kernel/auth/problems.py), or None."""
    lowered = password.strip().lower()
    if len(password) < MIN_LENGTH:
        return "password_short"
    if len(password) > MAX_LENGTH:
        return "password_long"
    if username and username.lower() in (lowered, lowered[::-1]):
        return "password_is_username"
    if lowered in _COMMON or len(set(lowered)) < 4:
        return "password_common"
    return None


def temporary_password() -> str:
    """Return a random password to hand over once, e.g. "kzm4-w7hr-pq2x": 60 bits, no 0/o/1/l."""
    letters = "abcdefghijkmnpqrstuvwxyz23456789"
    text = "".join(secrets.choice(letters) for _ in range(12))
    return "-".join((text[:4], text[4:8], text[8:]))
