"""The past instead of the present: what worn devices would have measured, without any connection.

A CSV file `device_id,at_ms,metric,value`, oldest first for each device, with the illnesses of the
scenario in it; who fell ill with what, and when, is known (`onsets`). For whatever must be judged
over weeks: baselines, charts, rollups.
"""

import csv
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from conductor import choose, illness
from roster import Identity
from scenario import Event, Scenario
from vital_signs import Person

_WORN = ("watch", "setracker")
_BLOOD_PRESSURE_EVERY = 4


class History:
    """The last `seconds` before `until_ms` of a scenario. The same seed gives the same people."""

    def __init__(
        self,
        scenario: Scenario,
        roster: Sequence[Identity],
        seed: int,
        until_ms: int,
        seconds: float,
    ) -> None:
        self._worn = [identity for identity in roster if identity.type in _WORN]
        self._every = {
            kind: int(of["vitals"] * 1000) for kind, of in scenario.every.items() if kind in _WORN
        }
        self._from, self._until = until_ms - int(seconds * 1000), until_ms
        self._seed = seed
        self._people = {
            identity.device_id: Person(random.Random(f"{seed}:{identity.device_id}"))
            for identity in self._worn
        }
        self.onsets: list[dict[str, Any]] = []
        rng, struck = random.Random(f"{seed}:events"), Counter[str]()
        for at_ms, number, event in sorted(
            self._strikes(scenario.events), key=lambda each: each[:2]
        ):
            self._strike(at_ms, number, event, struck, rng)

    def _strikes(self, events: Sequence[Event]) -> Iterator[tuple[int, int, Event]]:
        for number, event in enumerate(events, 1):
            if event.do != "illness":
                continue
            due, step = event.at, event.every
            last = self._until - self._from if event.until is None else int(event.until * 1000)
            while due * 1000 <= last:
                yield self._from + int(due * 1000), number, event
                if step is None:
                    break
                due += step

    def _strike(
        self, at_ms: int, number: int, event: Event, struck: Counter[str], rng: random.Random
    ) -> None:
        able = [one.device_id for one in self._worn if one.type in event.able_types]
        for name in choose(event, able, struck, rng):
            if rng.random() >= event.probability:
                continue
            ill = illness(event, at_ms + int(rng.uniform(0, event.spread) * 1000))
            self._people[name].fall_ill(ill)
            onset = {"device": name, "event": number, "what": event.detail, "since_ms": ill.since}
            self.onsets.append(onset | {"until_ms": ill.until, "add": dict(ill.changes)})

    def write(self, path: Path) -> None:
        """Write every measurement. Raises OSError."""
        with path.open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file)
            for identity in self._worn:
                rows.writerows(self._life(identity))

    def _life(self, identity: Identity) -> Iterator[tuple[str, int, str, float]]:
        name, person = identity.device_id, self._people[identity.device_id]
        every = self._every[identity.type]
        phase = random.Random(f"{self._seed}:{name}:phase").randrange(every)
        for number, at_ms in enumerate(range(self._from + phase, self._until, every)):
            pressure = number % _BLOOD_PRESSURE_EVERY == 0
            for metric, value in person.vitals(at_ms, blood_pressure=pressure).items():
                yield name, at_ms, metric, value
