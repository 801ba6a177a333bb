"""The authority as a process has it: opened when first needed, again when its file changes."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from devices.certificates.authority import KEY_FILE, Authority, AuthorityMissing, load


class AuthorityDesk:
    """Opens the authority of a folder. Where there is none, certificates cannot be issued here."""

    def __init__(self, folder: Path, passphrase: Callable[[], bytes]) -> None:
        self._folder = folder
        self._passphrase = passphrase
        self._opened: tuple[float, Authority] | None = None

    @property
    def present(self) -> bool:
        """Whether there is an authority."""
        return (self._folder / KEY_FILE).is_file()

    async def open(self) -> Authority:
        """Return the authority. Raises AuthorityMissing."""
        if not self.present:
            raise AuthorityMissing("There is no certificate authority here: silverline ca init.")
        stamp = (self._folder / KEY_FILE).stat().st_mtime
        if self._opened is None or self._opened[0] != stamp:
            # Opening an encrypted key is slow on purpose.
            found = await asyncio.to_thread(load, self._folder, self._passphrase())
            self._opened = (stamp, found)
        return self._opened[1]
