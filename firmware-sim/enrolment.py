"""Devices that register themselves with the key of their batch (docs/protocol.md, section 13).

What a device gets it keeps, as a real one keeps it in its flash: in the credentials file, which is
written here once and read at every later start.
"""

import json
import os
import time
import urllib.error
import urllib.request
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from roster import Identity, RosterError

KEY_VARIABLE = "FIRMWARE_SIM_BATCH_KEY"
_TRIES = 5
_LONGEST_WAIT = 60.0


def enrol(url: str, batch: str, roster: list[Identity], keep: Path) -> list[Identity]:
    """Register every device; write what they got. Raises RosterError with a sentence."""
    key = os.environ.get(KEY_VARIABLE, "")
    if not key:
        raise RosterError(f"The key of the batch belongs into the variable {KEY_VARIABLE}.")
    registered = [_one(url, batch, key, identity) for identity in roster]
    entries = [
        {name: value for name, value in asdict(identity).items() if value is not None}
        for identity in registered
    ]
    descriptor = os.open(keep, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(entries, file, ensure_ascii=False, indent=1)
    return registered


def _one(url: str, batch: str, key: str, identity: Identity) -> Identity:
    got = _ask(url, key, {"batch": batch, "hardware": identity.imei})
    try:
        return replace(
            identity,
            device_id=got["device_id"],
            username=got["username"],
            password=got["password"],
            profile=got["profile"],
        )
    except (KeyError, TypeError) as error:
        raise RosterError("The server registered a device and did not say its secret.") from error


def _ask(url: str, key: str, body: dict[str, str]) -> Any:
    if not url.startswith(("http://", "https://")):
        raise RosterError(f"{url} is no address to register at.")
    request = urllib.request.Request(  # noqa: S310 - checked above
        url.rstrip("/") + "/provision",
        json.dumps(body).encode(),
        {"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
    )
    for attempt in range(_TRIES):
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code != 429 and error.code < 500:
                raise RosterError(f"{body['hardware']}: {_sentence(error)}") from error
            wait = float(error.headers.get("Retry-After") or 2**attempt)
        except OSError as error:
            if attempt == _TRIES - 1:
                raise RosterError(f"{url} does not answer: {error}.") from error
            wait = 2.0**attempt
        time.sleep(min(wait, _LONGEST_WAIT))
    raise RosterError(f"{url} has too much to do; try again later.")


def _sentence(error: urllib.error.HTTPError) -> str:
    try:
        message = json.load(error).get("message", "")
    except (ValueError, AttributeError):
        message = ""
    return f"{error.code} {message}".strip()
