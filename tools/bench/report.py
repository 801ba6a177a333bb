"""The figures of a run, as a table for people and as JSON in `bench-results/`."""

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Measurement:
    """One way of storing the readings.

    `seconds` is wall time until the last row was committed. `cpu` is what each process used of the
    processors meanwhile, in seconds, `stages` what of ingest's goes where.
    """

    name: str
    what: str
    messages: int
    rows: int
    seconds: float
    cpu: dict[str, float] = field(default_factory=dict)
    stages: dict[str, float] = field(default_factory=dict)

    @property
    def rows_per_second(self) -> float:
        """Rows a second, wall time."""
        return self.rows / self.seconds

    def micros(self, seconds: float) -> float:
        """Microseconds of a message."""
        return seconds / self.messages * 1e6 if self.messages else 0.0


@dataclass(frozen=True, slots=True)
class Report:
    """A run: where it was measured, what came out, and what is missing and why."""

    at: datetime
    title: str
    environment: dict[str, str]
    measurements: list[Measurement]
    notes: list[str] = field(default_factory=list)
    name: str = "ingest"
    """What its file is called by."""

    def table(self) -> str:
        """Return a table of the measurements; the first one is the floor for the ratios."""
        floor = self.measurements[0].rows_per_second
        lines = [
            self.title,
            f"{'':18}{'rows/s':>10}{'of COPY':>9}{'messages/s':>12}{'seconds':>9}   CPU s",
        ]
        for m in self.measurements:
            per_second = f"{m.messages / m.seconds:,.0f}" if m.messages else "–"
            cpu = ", ".join(f"{name} {value:.2f}" for name, value in m.cpu.items())
            lines.append(
                f"{m.name:18}{m.rows_per_second:>10,.0f}{m.rows_per_second / floor:>9.3f}"
                f"{per_second:>12}{m.seconds:>9.2f}   {cpu}"
            )
        lines += self._where()
        lines += ["", *(f"{m.name}: {m.what}" for m in self.measurements)]
        lines += ["", *(f"{key}: {value}" for key, value in self.environment.items())]
        return "\n".join(lines + (["", *self.notes] if self.notes else []))

    def _where(self) -> list[str]:
        """Where each microsecond of a message goes."""
        lines: list[str] = []
        for m in (each for each in self.measurements if each.messages and each.cpu):
            used = {**m.cpu, **{f"ingest: {name}": value for name, value in m.stages.items()}}
            if m.stages and "ingest" in m.cpu:
                used["ingest: the rest"] = m.cpu["ingest"] - sum(m.stages.values())
            parts = ", ".join(f"{name} {m.micros(value):.1f}" for name, value in used.items())
            wall = m.micros(m.seconds)
            lines.append(f"{m.name}, µs of a message: wall {wall:.1f}; CPU {parts}")
        return ["", *lines] if lines else []

    def write(self, folder: Path) -> Path:
        """Write the run as JSON and return the file."""
        floor = self.measurements[0].rows_per_second
        document = {
            "at": self.at.isoformat(),
            "title": self.title,
            "environment": self.environment,
            "measurements": [
                asdict(m)
                | {
                    "rows_per_second": round(m.rows_per_second),
                    "share_of_copy": round(m.rows_per_second / floor, 4),
                }
                for m in self.measurements
            ],
            "notes": self.notes,
        }
        return write_json(folder, self.name, self.at, document)


def write_json(folder: Path, name: str, at: datetime, document: Mapping[str, object]) -> Path:
    """Write figures into a file of their own and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{at:%Y%m%dT%H%M%S%f}Z.json"
    path.write_text(json.dumps(document, ensure_ascii=False, indent=2) + "\n")
    return path


def machine() -> dict[str, str]:
    """Return what of this machine the figures depend on."""
    return {
        "cores": str(os.cpu_count()),
        "load average before": f"{os.getloadavg()[0]:.2f}",
        "machine": platform.machine(),
        "python": platform.python_version(),
    }
