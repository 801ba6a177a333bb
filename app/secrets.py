"""Secrets of an embedded installation: made at the first start, kept in a file of mode 0600."""

import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from kernel.crypto import new_master_key


@dataclass(frozen=True, slots=True)
class EmbeddedSecrets:
    """The master key of personal data and the password of our own MQTT user."""

    master_key: str
    mqtt_password: str


def load_or_make(path: Path) -> EmbeddedSecrets:
    """Read the secrets, or make them. Raises OSError when the folder cannot be written."""
    try:
        return EmbeddedSecrets(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        made = EmbeddedSecrets(new_master_key(), secrets.token_urlsafe(24))
        write_private(path, json.dumps(asdict(made), indent=2))
        return made


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".new")
    # What lies there already, a link or a file that others may read, is not written into.
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    temporary.replace(path)
