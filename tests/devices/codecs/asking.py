"""A command as an encoder gets it."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from devices.downlink import CommandName, CommandRequest

NOW = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)
ID = uuid.UUID("0199c0de-7a31-7c55-9d1e-3f8a2b6c4d5e")


def request(
    name: str, address: str = "", last: bytes = b"", *, form: str = "", **args: Any
) -> CommandRequest:
    return CommandRequest(
        id=ID,
        name=CommandName(name),
        args=args,
        expires_at=NOW + timedelta(minutes=10),
        now=NOW,
        address=address or "W-0001",
        device_id="W-0001",
        profile="",
        form=form,
        last=last,
    )
