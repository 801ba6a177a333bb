"""The files of the packages: on disk in the data folder, each named by its own checksum.

All calls block: on the event loop they are made in a thread.
"""

import hashlib
import os
import tempfile
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from devices.firmware.rules import LARGEST_PACKAGE
from kernel.errors import Invalid, NotFound

_CHUNK = 256 * 1024


@dataclass(frozen=True, slots=True)
class Stored:
    """A file that is on the shelf. `sha256` in hexadecimal."""

    sha256: str
    size: int


class Shelf:
    """A folder of firmware files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, source: BinaryIO, largest: int = LARGEST_PACKAGE) -> Stored:
        """Copy a file onto the shelf. Raises Invalid (file: too_large, required).

        It appears under its name only when it is whole and on the disk.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        digest, size = hashlib.sha256(), 0
        handle, name = tempfile.mkstemp(dir=self._folder, prefix=".upload-")
        try:
            with os.fdopen(handle, "wb") as target:
                while chunk := source.read(_CHUNK):
                    size += len(chunk)
                    if size > largest:
                        raise Invalid("The file is too large.", {"file": "too_large"})
                    digest.update(chunk)
                    target.write(chunk)
                target.flush()
                os.fsync(target.fileno())
            if size == 0:
                raise Invalid("There is no file.", {"file": "required"})
            Path(name).replace(self._path(digest.hexdigest()))
        finally:
            Path(name).unlink(missing_ok=True)
        return Stored(digest.hexdigest(), size)

    def open(self, sha256: str) -> BinaryIO:
        """Open a file for reading. Raises NotFound where it is not on this machine's shelf."""
        try:
            return self._path(sha256).open("rb")
        except FileNotFoundError as error:
            raise NotFound("The firmware file is not here.", sha256=sha256) from error

    def chunks(self, file: BinaryIO) -> Generator[bytes, None, None]:
        """Yield what is in a file, and close it."""
        with file:
            while chunk := file.read(_CHUNK):
                yield chunk

    def _path(self, sha256: str) -> Path:
        if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
            raise NotFound("There is no such firmware file.")
        return self._folder / f"{sha256}.bin"
