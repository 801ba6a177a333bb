"""The figures of a run, as a table for people and as JSON in `bench-results/`."""

import json
import os
import platform
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Measurement:
    """One way of storing the readings.

    `seconds` is wall time until the last row was committed, `cpu_seconds` what the measured process
    itself used of it (None where it is not known).
    """

    name: str
    what: str
    messages: int
    rows: int
    seconds: float
    cpu_seconds: float | None = None

    @property
    def rows_per_second(self) -> float:
        """Rows a second, wall time."""
        return self.rows / self.seconds


@dataclass(frozen=True, slots=True)
class Report:
    """A run: where it was measured, what came out, and what is missing and why."""

    at: datetime
    environment: dict[str, str]
    measurements: list[Measurement]
    notes: list[str] = field(default_factory=list)

    def table(self) -> str:
        """Return a table of the measurements; the first one is the floor for the ratios."""
        floor = self.measurements[0].rows_per_second
        lines = [f"{'':26}{'rows/s':>10}{'of COPY':>9}{'messages/s':>12}{'seconds':>9}{'CPU s':>8}"]
        for m in self.measurements:
            per_second = f"{m.messages / m.seconds:,.0f}" if m.messages else "–"
            cpu = "–" if m.cpu_seconds is None else f"{m.cpu_seconds:.2f}"
            lines.append(
                f"{m.name:26}{m.rows_per_second:>10,.0f}{m.rows_per_second / floor:>8.1%} "
                f"{per_second:>11}{m.seconds:>9.2f}{cpu:>8}"
            )
        lines += ["", *(f"{m.name}: {m.what}" for m in self.measurements)]
        lines += ["", *(f"{key}: {value}" for key, value in self.environment.items())]
        return "\n".join(lines + (["", *self.notes] if self.notes else []))

    def write(self, folder: Path) -> Path:
        """Write the run as JSON and return the file."""
        folder.mkdir(parents=True, exist_ok=True)
        floor = self.measurements[0].rows_per_second
        document = {
            "at": self.at.isoformat(),
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
        path = folder / f"ingest-{self.at:%Y%m%dT%H%M%SZ}.json"
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
