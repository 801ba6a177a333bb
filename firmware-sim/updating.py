"""Updates over the air as a device does them: fetch, compare, restart with the new version.

Written from the protocol's description alone (docs/protocol.md, section 8). What does not fit size
and checksum is thrown away, and the device goes on with what it has.
"""

import asyncio
import hashlib
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_CHUNK = 16 * 1024
_TIMEOUT = 30.0
_LARGEST = 64 * 1024 * 1024
Report = Callable[[str, int, str], None]
"""Says (state, per cent, detail)."""


class UpdateFailed(Exception):
    """The update is not installed; the text is the word of the protocol for why."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What the command `update` says."""

    command: str
    url: str
    sha256: str
    size: int
    version: str

    @classmethod
    def of(cls, command: str, given: dict[str, Any]) -> "Offer | None":
        """Read the arguments of a command, None where they are not as the protocol has them."""
        url, sha256, size = given.get("url"), given.get("sha256"), given.get("size")
        version = given.get("version")
        good = (
            isinstance(url, str)
            and url.startswith(("http://", "https://"))
            and isinstance(sha256, str)
            and len(sha256) == 64
            and isinstance(size, int)
            and not isinstance(size, bool)
            and 0 < size <= _LARGEST
            and isinstance(version, str)
            and version != ""
        )
        return cls(command, str(url), str(sha256), int(size or 0), str(version)) if good else None


async def fetch(offer: Offer, report: Report) -> None:
    """Download and compare, and say how far it is. Raises UpdateFailed."""
    loop = asyncio.get_running_loop()

    def tell(percent: int) -> None:
        loop.call_soon_threadsafe(report, "downloading", percent, "")

    await asyncio.to_thread(_download, offer, tell)
    report("downloaded", 100, "")


def _download(offer: Offer, tell: Callable[[int], None]) -> None:
    digest, size, told = hashlib.sha256(), 0, -1
    try:
        with urllib.request.urlopen(offer.url, timeout=_TIMEOUT) as answer:  # noqa: S310 - Offer.of
            while chunk := answer.read(_CHUNK):
                digest.update(chunk)
                size += len(chunk)
                if size > offer.size:
                    raise UpdateFailed("size")
                tenth = 10 * size // offer.size
                if tenth > told:
                    told = tenth
                    tell(100 * size // offer.size)
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise UpdateFailed("link") from error
    if size != offer.size:
        raise UpdateFailed("size")
    if digest.hexdigest() != offer.sha256:
        raise UpdateFailed("checksum")
