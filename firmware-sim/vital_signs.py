"""A person's body and day: personal baselines from the seed, a daily rhythm by local time.

Ordinary values stay inside what no alarm rule calls abnormal, at any hour, so that a quiet scenario
is quiet; only events of a scenario leave that band.
"""

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from sim_clock import local_hours

# What an unworried body may show: (low, high). Wider noise is clamped to it.
_BAND = {
    "heart_rate": (64.0, 104.0),
    "spo2": (95.0, 99.0),
    "bp_systolic": (104.0, 134.0),
    "bp_diastolic": (64.0, 84.0),
    "body_temperature": (36.1, 37.0),
    "respiratory_rate": (13.0, 19.0),
}
# How much of a day's steps is done by a local hour: up at 6, a walk at 8–9 and after supper.
_STEPS_DONE = (
    (0.0, 0.0),
    (5.5, 0.0),
    (7.0, 0.08),
    (9.5, 0.42),
    (12.0, 0.55),
    (14.5, 0.60),
    (17.0, 0.75),
    (19.5, 0.96),
    (21.5, 1.0),
    (24.0, 1.0),
)


# How much a person differs from day to day: standard deviation of a whole day's level.
_DAY_TO_DAY = {
    "heart_rate": 1.5,
    "spo2": 0.2,
    "bp_systolic": 3.0,
    "bp_diastolic": 2.0,
    "body_temperature": 0.05,
    "respiratory_rate": 0.4,
}
_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Illness:
    """What is added to ordinary values from `since` on (Unix ms), in full after `rising` ms."""

    changes: Mapping[str, float]
    since: int
    rising: int
    until: int

    def part(self, at_ms: int) -> float:
        """How much of it is felt: 0 to 1."""
        if not self.since <= at_ms < self.until:
            return 0.0
        return min(1.0, (at_ms - self.since) / self.rising) if self.rising else 1.0


class Person:
    """One elder with baselines of their own. `rng` must be seeded for this person."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._seed = rng.random()
        self._ill: list[Illness] = []
        self._heart = rng.uniform(70, 82)
        self._oxygen = rng.uniform(96.2, 98.2)
        self._systolic = rng.uniform(114, 126)
        self._diastolic = rng.uniform(70, 78)
        self._warmth = rng.uniform(36.35, 36.65)
        self._breaths = rng.uniform(14.5, 17.0)
        self._goal = rng.uniform(1800, 7500)
        self._late = rng.uniform(-0.8, 0.8)

    def fall_ill(self, illness: Illness) -> None:
        """From now on this is felt too."""
        self._ill.append(illness)

    def vitals(self, at_ms: int, *, blood_pressure: bool) -> dict[str, float]:
        """What a wearable measures at `at_ms`: metric code → value in the catalogue's unit."""
        hours = self._own_hours(at_ms)
        day = _day_wave(hours)
        busy = 6.0 * _walking(hours)
        values = {
            "heart_rate": round(self._show("heart_rate", at_ms, self._heart + 6 * day + busy, 2.0)),
            "spo2": min(100, round(self._show("spo2", at_ms, self._oxygen, 0.5))),
            "body_temperature": round(
                self._show("body_temperature", at_ms, self._warmth + 0.25 * day, 0.06), 1
            ),
            "steps": self.steps(at_ms),
        }
        if blood_pressure:
            upper = self._show("bp_systolic", at_ms, self._systolic + 6 * day, 3.0)
            lower = self._show("bp_diastolic", at_ms, self._diastolic + 3 * day, 2.0)
            values["bp_systolic"] = round(upper)
            values["bp_diastolic"] = round(min(lower, upper - 30))
        return values

    def in_bed(self, at_ms: int) -> bool:
        """Whether the person lies in bed: nights from about 21:30 to 6, and a nap after lunch."""
        hours = self._own_hours(at_ms)
        return hours >= 21.5 or hours < 6.0 or 12.5 <= hours < 13.5

    def resting(self, at_ms: int) -> dict[str, float]:
        """Heart and breath as a bed sensor feels them."""
        day = _day_wave(self._own_hours(at_ms))
        return {
            "heart_rate": round(self._show("heart_rate", at_ms, self._heart - 3 + 4 * day, 1.5)),
            "respiratory_rate": round(self._show("respiratory_rate", at_ms, self._breaths, 0.6)),
        }

    def moves(self, at_ms: int) -> bool:
        """Whether a motion sensor sees somebody just now."""
        return self._rng.random() < (0.08 if self.in_bed(at_ms) else 0.65)

    def steps(self, at_ms: int) -> int:
        """Steps since local midnight: never falls within a day, begins at 0 each day."""
        return int(self._goal * _interpolate(local_hours(at_ms)))

    def _own_hours(self, at_ms: int) -> float:
        return (local_hours(at_ms) + self._late) % 24

    def _show(self, metric: str, at_ms: int, value: float, noise: float) -> float:
        """A value as it is measured: today's, within the band, and what an illness adds to it."""
        low, high = _BAND[metric]
        # China's days, 8 hours ahead; the same day has the same level whenever it is asked for.
        day = (at_ms + 8 * 3_600_000) // _DAY_MS
        today = random.Random(f"{self._seed}:{metric}:{day}").gauss(0.0, _DAY_TO_DAY[metric])
        ordinary = min(high, max(low, self._rng.gauss(value + today, noise)))
        return ordinary + sum(ill.changes.get(metric, 0.0) * ill.part(at_ms) for ill in self._ill)


def _day_wave(hours: float) -> float:
    """−1 at about 04:00, +1 at about 16:00 local time."""
    return math.sin((hours - 10.0) * math.pi / 12)


def _walking(hours: float) -> float:
    return 1.0 if 8 <= hours < 9.5 or 18 <= hours < 19.5 else 0.0


def _interpolate(hours: float) -> float:
    for (start, before), (end, after) in pairwise(_STEPS_DONE):
        if start <= hours <= end:
            return before + (after - before) * (hours - start) / (end - start)
    return 1.0
