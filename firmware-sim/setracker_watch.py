"""A Setracker 4G SOS watch on real TCP: login, positions, vitals, SOS, answers, commands.

The protocol confirms only LK and AL frames, by an answer with the same word. TCP keeps order, so
such an answer confirms everything that was sent before it on the same connection. After a lost
connection unconfirmed positions and alarms are sent again as the same bytes; vitals are not, since
their frames carry no time and would be stored twice. While offline a watch keeps its positions
(later sent as UD2, "stored position") and its alarms.
"""

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import setracker_frames as frames
from roster import Identity
from sim_clock import now_ms, utc_time
from sim_device import Whereabouts
from tally import Account, Tally
from vital_signs import Illness, Person

LAST_WORD = 1.0  # how long a planned cut waits for the last answer (s)
FIRST_DELAY, LONGEST_DELAY = 0.25, 15.0  # seconds between attempts
ANSWER_TIMEOUT = 10.0  # LK without an answer for so long (s): the line is dead
KEPT_POSITIONS = 500
# The last name has every character that must be escaped, as a home's wifi may well have.
_WIFI = (("ChinaNet-H3xQ", "34:60:f9:ec:19:f8"), ("Home[2.4G],*{a}", "98:48:27:55:18:20"))


@dataclass(frozen=True, slots=True)
class Sent:
    """A frame on its way. `word` is what the answer would be called, empty for none."""

    data: bytes
    word: str
    metrics: tuple[str, ...] = ()
    position: bool = False
    alarm: str = ""


@dataclass(frozen=True, slots=True)
class TcpServer:
    """Where the server of the watches listens."""

    host: str
    port: int


class SetrackerWatch:
    """One watch. `every` maps vitals, status (LK) and location to seconds."""

    def __init__(
        self,
        identity: Identity,
        server: TcpServer,
        tally: Tally,
        every: Mapping[str, float],
        rng: random.Random,
    ) -> None:
        self.identity = identity
        self.every = dict(every)
        self._server, self._tally, self._rng = server, tally, rng
        self._person = Person(rng)
        self.whereabouts = Whereabouts(identity.lat, identity.lon, rng)
        self._battery = rng.randint(60, 100)
        self._held: dict[str, tuple[float, int]] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._unconfirmed: deque[Sent] = deque()
        self._kept: deque[Sent] = deque(maxlen=KEPT_POSITIONS)
        self._plugged = asyncio.Event()
        self._plugged.set()
        self._plug_timer: asyncio.TimerHandle | None = None
        self._asked_at: float | None = None
        self._connections = 0
        self._nudge = asyncio.Event()
        self._leaving = False
        self._finished = False
        tally.tcp.by_device[identity.device_id] = Account()

    @property
    def online(self) -> bool:
        """Whether the connection is up and in use."""
        return self._writer is not None and not self._leaving

    @property
    def seq(self) -> int | None:
        """This protocol has no sequence numbers."""
        return None

    @property
    def waiting(self) -> int:
        """Frames that no answer has confirmed yet."""
        return len(self._unconfirmed) + len(self._kept)

    def measure(self) -> None:
        """bphrt, oxygen and btemp2; nothing while offline."""
        if not self.online:
            return
        values = self._person.vitals(now_ms(), blood_pressure=True)
        for metric, (value, until) in list(self._held.items()):
            if until <= now_ms():
                del self._held[metric]
            else:
                values[metric] = value
        pressure = [f"{values[name]:.0f}" for name in ("bp_systolic", "bp_diastolic", "heart_rate")]
        self._say(
            "bphrt", [*pressure, "", "", "", ""], ("bp_systolic", "bp_diastolic", "heart_rate")
        )
        self._say("oxygen", ["0", f"{values['spo2']:.0f}"], ("spo2",))
        self._say("btemp2", ["1", f"{values['body_temperature']:.2f}"], ("body_temperature",))

    def report_status(self) -> None:
        """LK: steps, rolls, battery. Its answer is the watch's proof of a living line."""
        steps = self._person.steps(now_ms())
        if self.online:
            if self._asked_at is None:
                self._asked_at = asyncio.get_running_loop().time()
            fields = [str(steps), "0", str(self._battery)]
            self._say("LK", fields, ("steps", "roll_count", "battery"), word="LK")

    def report_location(self) -> None:
        """UD_LTE with a fix; kept as UD2 while offline."""
        command = "UD_LTE" if self.online else "UD2"
        self._say(command, self._track(0), ("steps", "roll_count", "battery"), position=True)

    def hold(self, values: Mapping[str, float], seconds: float | None) -> None:
        """Measure these values for `seconds` (None: from now on), beginning now."""
        until = now_ms() + int((seconds if seconds is not None else 1e9) * 1000)
        self._held.update({metric: (value, until) for metric, value in values.items()})
        self.measure()

    def fall_ill(self, illness: Illness) -> None:
        """Whoever wears the device is ill from now on."""
        self._person.fall_ill(illness)

    def alarm(
        self, kind: str, *, active: bool = True, detail: str = "", test: bool = False
    ) -> None:
        """AL_LTE with the bit of `kind`; this protocol has no clearing, details or tests."""
        del detail, test
        bit = frames.STATUS_BITS.get(kind)
        if bit is not None and active:
            metrics = ("steps", "roll_count", "battery")
            self._say("AL_LTE", self._track(bit), metrics, word="AL", position=True, alarm=kind)

    def knows(self, kind: str) -> bool:
        """Whether this watch can raise such an alarm."""
        return kind in frames.STATUS_BITS

    def drain_battery(self, percent: float) -> None:
        """The battery is at `percent` now; says so."""
        self._battery = round(percent)
        self.report_status()

    def cut(self, seconds: float) -> None:
        """Out of coverage for `seconds`.

        It waits for the answer to a last LK, so that the report can say of every frame whether it
        arrived: vitals have no time and cannot be sent again without being stored twice.
        """
        self._plugged.clear()
        if self._plug_timer is not None:
            self._plug_timer.cancel()
        loop = asyncio.get_running_loop()
        self._plug_timer = loop.call_later(seconds, self.plug)
        if self.online:
            self.report_status()
            self._leaving = True
            loop.call_later(min(LAST_WORD, seconds), self._leave)

    def plug(self) -> None:
        """Back in coverage; a watch that waits for its next attempt tries at once."""
        self._plugged.set()
        self._nudge.set()

    def finish(self) -> None:
        """Close the connection; what is still unconfirmed stays so in the report."""
        self._finished = True
        self._tally.tcp.unconfirmed += self.waiting
        if self._plug_timer is not None:
            self._plug_timer.cancel()
        if self._writer is not None:
            self._writer.close()

    async def run(self) -> None:
        """Keep the connection up until `finish`."""
        delay = FIRST_DELAY
        while not self._finished:
            await self._plugged.wait()
            try:
                async with asyncio.timeout(ANSWER_TIMEOUT):
                    reader, writer = await asyncio.open_connection(
                        self._server.host, self._server.port
                    )
            except (OSError, TimeoutError) as error:
                reason = str(error) or type(error).__name__
                self._tally.notice(f"Cannot reach the server of the watches: {reason}.")
            else:
                delay = FIRST_DELAY
                self._begin(writer)
                await self._listen(reader)
                self._end()
            if self._plugged.is_set() and not self._finished:
                await self._pause(delay * self._rng.uniform(0.5, 1.0))
                delay = min(delay * 2, LONGEST_DELAY)

    async def _pause(self, seconds: float) -> None:
        self._nudge.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._nudge.wait()

    def _begin(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._connections += 1
        tcp = self._tally.tcp
        tcp.connected.add(self.identity.device_id)
        self._tally.changed.set()
        tcp.reconnects += self._connections > 1
        tcp.unconfirmed += sum(not sent.position for sent in self._unconfirmed)
        repeated = [sent for sent in self._unconfirmed if sent.position]
        kept, self._unconfirmed = [*self._kept], deque()
        self._kept.clear()
        self.report_status()
        for sent in repeated:
            self._unconfirmed.append(sent)
            writer.write(sent.data)
        for sent in kept:
            self._send(sent)
        if repeated or kept:
            self.report_status()

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        buffer = b""
        while True:
            try:
                async with asyncio.timeout(1.0):
                    data = await reader.read(4096)
            except TimeoutError:
                now = asyncio.get_running_loop().time()
                if self._asked_at is not None and now - self._asked_at > ANSWER_TIMEOUT:
                    self._tally.notice("The server of the watches does not answer LK.")
                    return
                continue
            except OSError:
                return
            if not data:
                return
            contents, buffer = frames.split(buffer + data)
            for content in contents:
                received = frames.read(content)
                if received is not None:
                    self._take(received)

    def _take(self, received: frames.ServerFrame) -> None:
        tcp = self._tally.tcp
        word = received.command
        if any(sent.word == word for sent in self._unconfirmed):
            tcp.answers[word] += 1
            if word == "LK":
                self._asked_at = None
            self._confirm(word)
        elif word.startswith(("UD", "LK", "AL", "bphrt", "oxygen", "btemp2")):
            tcp.answers[word] += 1  # an answer that nobody needs
        else:
            tcp.commands += 1
            self._obey(word, received.fields)

    def _obey(self, word: str, fields: tuple[str, ...]) -> None:
        """A command of the server: done, and answered with its own word."""
        self._write(frames.frame(self.identity.imei, word))
        if word == "CR":
            self.report_location()
        elif word == "UPLOAD" and fields and fields[0].isdigit():
            self.every["location"] = max(1.0, float(fields[0]))
        elif word in ("hrtstart", "bodytemp2"):
            self.measure()
        elif word == "RESET":
            self._abort()

    def _confirm(self, word: str) -> None:
        """Everything up to the oldest frame that waits for `word` has arrived."""
        tcp = self._tally.tcp
        account = tcp.by_device[self.identity.device_id]
        self._tally.changed.set()
        while self._unconfirmed:
            sent = self._unconfirmed.popleft()
            tcp.frames_confirmed += 1
            tcp.readings.update(sent.metrics)
            tcp.positions += sent.position
            tcp.alarms += bool(sent.alarm)
            account.messages += 1
            account.readings += len(sent.metrics)
            account.alarms += bool(sent.alarm)
            if sent.word == word:
                break
        if self._leaving and not self._unconfirmed:
            self._leave()

    def _say(
        self,
        command: str,
        fields: list[str],
        metrics: tuple[str, ...] = (),
        *,
        word: str = "",
        position: bool = False,
        alarm: str = "",
    ) -> None:
        data = frames.frame(self.identity.imei, command, fields)
        sent = Sent(data, word, metrics, position, alarm)
        if self.online:
            self._send(sent)
        elif position:
            self._tally.tcp.unconfirmed += len(self._kept) == KEPT_POSITIONS  # the oldest goes
            self._kept.append(sent)

    def _send(self, sent: Sent) -> None:
        self._tally.tcp.frames_sent += 1
        self._unconfirmed.append(sent)
        if sent.alarm:
            self._tally.alarm_log.write(
                self.identity.device_id, None, sent.alarm, now_ms(), True, replayed=False
            )
        self._write(sent.data)

    def _write(self, data: bytes) -> None:
        if self._writer is not None:
            self._writer.write(data)

    def _track(self, status: int) -> list[str]:
        fix = self.whereabouts.fix()
        return frames.track_fields(
            frames.Track(
                at=utc_time(now_ms()),
                valid=True,
                lat=fix.lat,
                lon=fix.lon,
                speed=fix.speed,
                battery=self._battery,
                steps=self._person.steps(now_ms()),
                status=status,
                wifi=_WIFI if fix.source == "wifi" else (),
                accuracy=fix.accuracy,
            )
        )

    def _leave(self) -> None:
        if self._leaving:
            self._abort()

    def _abort(self) -> None:
        if self._writer is not None:
            self._writer.transport.abort()

    def _end(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        self._leaving = False
        self._asked_at = None
