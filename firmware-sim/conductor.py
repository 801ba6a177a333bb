"""What happens when: the devices' own rhythms, and the events of the scenario."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable

from fleet import Fleet, Simulated
from scenario import INTERVALS, Event, Scenario
from sim_clock import now_ms
from tally import Tally
from vital_signs import Illness

_WANDER_FIX_EVERY = 5.0  # seconds between positions of somebody who has left home


def choose(event: Event, names: list[str], struck: Counter[str], rng: random.Random) -> list[str]:
    """Whom an event happens to: those who had the fewest so far, by lot among equals."""
    rng.shuffle(names)
    names.sort(key=lambda name: struck[name])
    if event.share is not None:
        count = max(1, round(event.share * len(names)))
    else:
        count = len(names) if event.count is None else event.count
    struck.update(names[:count])
    return names[:count]


def illness(event: Event, since_ms: int) -> Illness:
    """The illness of an event that begins at `since_ms`; without `lasting` it does not end."""
    lasting = event.lasting if event.lasting is not None else 1e9
    until = since_ms + int(lasting * 1000)
    return Illness(event.changes, since_ms, int(event.rising * 1000), until)


class Conductor:
    """Drives a fleet through a scenario. `rate` divides every interval between messages."""

    def __init__(
        self, fleet: Fleet, scenario: Scenario, tally: Tally, *, rate: float, seed: int
    ) -> None:
        self._fleet = fleet
        self._scenario = scenario
        self._tally = tally
        self._rate = rate
        self._rng = random.Random(f"{seed}:events")
        self._struck: Counter[str] = Counter()
        self._stopped = False
        self._began = 0.0

    def start(self) -> None:
        """Begin: every device at a phase of its own, events by the clock."""
        loop = asyncio.get_running_loop()
        self._began = loop.time()
        for device in self._fleet.devices.values():
            if device.identity.gateway is not None:
                device.report_status()
            for kind in INTERVALS:
                first = self._rng.uniform(0, device.every[kind] / self._rate)
                loop.call_at(self._began + first, self._tick, device, kind, self._began + first)
        for event in self._scenario.events:
            due = self._began + event.at
            loop.call_at(due, self._strike, event, due)

    def stop(self) -> None:
        """Nothing new happens any more."""
        self._stopped = True

    def _tick(self, device: Simulated, kind: str, due: float) -> None:
        if self._stopped:
            return
        if kind == "vitals":
            device.measure()
        elif kind == "status":
            device.report_status()
        else:
            device.report_location()
        loop = asyncio.get_running_loop()
        # After a pause of the machine: go on from now, do not make up for what was missed.
        due = max(due + device.every[kind] / self._rate, loop.time())
        loop.call_at(due, self._tick, device, kind, due)

    def _strike(self, event: Event, due: float) -> None:
        if self._stopped:
            return
        for device in self._choose(event):
            if self._rng.random() < event.probability:
                self._later(self._rng.uniform(0, event.spread), self._happen, event, device)
        if event.every is not None:
            following = due + event.every
            if event.until is None or following - self._began <= event.until:
                asyncio.get_running_loop().call_at(following, self._strike, event, following)

    def _choose(self, event: Event) -> list[Simulated]:
        eligible = [
            device
            for device in self._fleet.devices.values()
            if device.identity.type in event.able_types
            and (not event.kind or device.knows(event.kind))
        ]
        if not eligible:
            self._tally.notice(
                f"No device of this fleet can have the event {event.do} {event.kind}."
            )
            return []
        by_id = {device.identity.device_id: device for device in eligible}
        return [by_id[name] for name in choose(event, list(by_id), self._struck, self._rng)]

    def _happen(self, event: Event, device: Simulated) -> None:
        lasting = event.lasting
        if event.values:
            device.hold(event.values, lasting)
        if event.do == "unplug":
            device.cut(lasting or 0.0)
        elif event.do == "illness":
            device.fall_ill(illness(event, now_ms()))
        elif event.do == "battery":
            device.drain_battery(event.percent)
        elif event.do == "wander" and lasting is not None:
            device.whereabouts.walk(event.metres, lasting)
            self._follow(device)
        if event.kind:
            # Somebody who wanders off is noticed on the way out, not on the doorstep.
            delay = 0.25 * (lasting or 0.0) if event.do == "wander" else 0.0
            for number in range(event.times):
                self._later(delay + number * event.apart, self._alarm, event, device)

    def _alarm(self, event: Event, device: Simulated) -> None:
        device.alarm(event.kind, detail=event.detail, test=event.test)
        if event.clear and event.lasting is not None:
            self._later(event.lasting, self._clear, event, device)

    def _clear(self, event: Event, device: Simulated) -> None:
        device.alarm(event.kind, active=False, test=event.test)

    def _follow(self, device: Simulated) -> None:
        device.report_location()
        if device.whereabouts.away():
            self._later(_WANDER_FIX_EVERY, self._follow, device)

    def _later(self, seconds: float, action: Callable[..., None], *given: object) -> None:
        """`action` after `seconds`, unless everything has stopped by then."""
        if seconds <= 0:
            action(*given)
            return

        def act() -> None:
            if not self._stopped:
                action(*given)

        asyncio.get_running_loop().call_later(seconds, act)
