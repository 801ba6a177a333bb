"""Which devices the demonstration has, at whose home; pure, the same for the same numbers."""

from dataclasses import dataclass

# Per hundred devices, in the order in which a home gets them.
MIX: tuple[tuple[str, str, str, int], ...] = (
    ("watch", "W", "sl-watch-1", 42),
    ("pendant", "P", "sl-pendant-1", 14),
    ("fall_detector", "F", "sl-fall-1", 8),
    ("door", "D", "sl-door-1", 8),
    ("motion", "M", "sl-motion-1", 8),
    ("smoke", "S", "sl-smoke-1", 6),
    ("bed_sensor", "B", "sl-bed-1", 6),
    ("gas", "G", "sl-gas-1", 3),
    ("leak", "L", "sl-leak-1", 3),
    ("setracker", "T", "setracker-4g", 2),
)
ROOMS = {
    "fall_detector": "卫生间",
    "door": "入户门",
    "motion": "客厅",
    "smoke": "厨房",
    "gas": "厨房",
    "leak": "卫生间",
    "bed_sensor": "卧室",
}


@dataclass(frozen=True, slots=True)
class PlannedDevice:
    """A device to be: `home` is the index of its elder, `room` where it is, "" when it is worn.

    `imei` is what a Setracker watch calls itself: ten digits of its IMEI.
    """

    device_id: str
    type: str
    profile: str
    home: int
    room: str
    imei: str


def plan_fleet(devices: int) -> list[PlannedDevice]:
    """Return `devices` devices in the proportions of MIX, at least one of a kind while they last.

    Every home has at most one device of a type, so homes are as many as the most frequent type.
    """
    counts = {kind: max(1, devices * share // 100) for kind, _, _, share in MIX}
    while sum(counts.values()) > devices:
        largest = max(counts, key=lambda kind: counts[kind])
        counts[largest] -= 1
    counts["watch"] += devices - sum(counts.values())
    homes = max(counts.values())
    planned = []
    for kind, letter, profile, _ in MIX:
        for index in range(counts[kind]):
            # Spread the rarer types over all homes instead of the first few.
            home = index * homes // max(1, counts[kind])
            planned.append(
                PlannedDevice(
                    device_id=f"{letter}-{index + 1:04d}",
                    type=kind,
                    profile=profile,
                    home=home,
                    room=ROOMS.get(kind, ""),
                    imei=f"{4700000001 + index}" if kind == "setracker" else "",
                )
            )
    return planned
