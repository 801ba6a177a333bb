"""Frames of every codec with what they say, as data: `frames/<codec>.jsonl`.

One line a frame: `title`, `source` (where the frame comes from: a device, a vendor's document, a
public test; or "ours"), `topic`, the frame itself as `text` or `hex`, optionally `device` (the
address that the connection is known by) and `retained`; then what must come of it: `messages`,
`replies` (text or hex), `rejects` (reasons), or `error` (the reason of the CodecError).
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devices.messages import Decoded, Flag, Frame, Message

FRAMES = Path(__file__).parent / "frames"


@dataclass(frozen=True, slots=True)
class Sample:
    """One line of a frame file."""

    codec: str
    line: int
    entry: dict[str, Any]

    @property
    def frame(self) -> Frame:
        entry = self.entry
        payload = bytes.fromhex(entry["hex"]) if "hex" in entry else entry["text"].encode()
        return Frame(
            payload, entry.get("topic", ""), entry.get("retained", False), entry.get("device", "")
        )

    def __str__(self) -> str:
        return f"{self.codec}:{self.line}"


def samples() -> list[Sample]:
    """All frames of all files, in order."""
    found: list[Sample] = []
    for path in sorted(FRAMES.glob("*.jsonl")):
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            if line.strip():
                found.append(Sample(path.stem, number, json.loads(line)))
    return found


def facts(message: Message) -> dict[str, Any]:
    """A message in the words of the frame files: only what it says, defaults left out."""
    said: dict[str, Any] = {"device": message.device, "kind": message.kind}
    plain = {"seq": message.seq, "sid": message.session, "via": message.via}
    said |= {name: value for name, value in plain.items() if value not in (None, "")}
    if message.at is not None:
        said["at"] = message.at.isoformat().replace("+00:00", "Z")
    if message.readings:
        said["readings"] = {r.metric: r.value for r in message.readings}
    if message.alarms:
        said["alarms"] = [
            f"{a.kind}{'' if a.active else ' off'}{' level' if a.level else ''}"
            for a in message.alarms
        ]
    if (position := message.position) is not None:
        said["position"] = [round(position.lat, 6), round(position.lon, 6)]
        said["fix"] = position.valid
        if position.altitude_m is not None:
            said["altitude_m"] = position.altitude_m
    if message.status is not None:
        fields = ("online", "battery_percent", "firmware", "rssi_dbm", "charging")
        values = {name: getattr(message.status, name) for name in fields}
        said["status"] = {name: value for name, value in values.items() if value is not None}
    if message.ack is not None:
        said["ack"] = [message.ack.command_id, message.ack.ok, message.ack.detail]
    if message.states:
        said["states"] = dict(message.states)
    if flags := sorted(str(flag) for flag in message.flags - {Flag.TIME_MISSING}):
        said["flags"] = flags
    return said


def outcome(decoded: Decoded) -> dict[str, Any]:
    """What a frame came to, in the words of the frame files."""
    said: dict[str, Any] = {"messages": [facts(message) for message in decoded.messages]}
    if decoded.replies:
        said["replies"] = [_written(reply) for reply in decoded.replies]
    if decoded.rejects:
        said["rejects"] = [reject.reason for reject in decoded.rejects]
    return said


def _written(data: bytes) -> str:
    try:
        text = data.decode("ascii")
    except UnicodeDecodeError:
        return data.hex()
    return text if text.isprintable() else data.hex()
