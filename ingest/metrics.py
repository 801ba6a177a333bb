"""What ingest says of itself to Prometheus. No label ever holds a device or a person."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import thread_time

from prometheus_client import Counter, Gauge, Histogram

FRAMES = Counter("silverline_ingest_frames_total", "Frames received", ["transport", "codec"])
ODDITIES = Counter("silverline_ingest_oddities_total", "Warnings of codecs", ["codec"])
MESSAGES = Counter("silverline_ingest_messages_total", "Messages stored for the first time")
DUPLICATES = Counter("silverline_ingest_duplicates_total", "Messages that were stored before")
READINGS = Counter("silverline_ingest_readings_total", "Readings stored")
IMPLAUSIBLE = Counter("silverline_ingest_implausible_total", "Readings flagged as implausible")
ALARMS = Counter(
    "silverline_ingest_alarms_total", "Alarms stored", ["kind", "source", "suppressed"]
)
DEAD_LETTERS = Counter("silverline_ingest_dead_letters_total", "Frames kept aside", ["reason"])
NOT_KEPT = Counter(
    "silverline_ingest_dead_letters_not_kept_total",
    "Useless frames beyond what a sender's allowance keeps",
    ["transport", "codec"],
)
DATABASE_UP = Gauge("silverline_ingest_database_up", "1 while the database answers")
WAITING = Gauge(
    "silverline_ingest_writes_waiting", "Writes that the database has not taken yet", ["reason"]
)
BROKER_UP = Gauge("silverline_ingest_broker_up", "1 while the lane is connected", ["lane"])
SESSIONS_LOST = Counter(
    "silverline_ingest_sessions_lost_total",
    "Reconnections at which the broker had forgotten the session and what came meanwhile",
    ["lane"],
)
QUEUE = Gauge("silverline_ingest_queue_depth", "Frames received and not yet committed", ["lane"])
QUEUE_BYTES = Gauge("silverline_ingest_queue_bytes", "Memory that they are taken for", ["lane"])
PAUSES = Counter("silverline_ingest_pauses_total", "Times that reading was paused", ["lane"])
TCP_CONNECTIONS = Gauge("silverline_ingest_tcp_connections", "Open TCP connections of devices")
BATCH = Histogram(
    "silverline_ingest_batch_messages",
    "Messages in one transaction",
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000),
)
CPU_SECONDS = Counter(
    "silverline_ingest_cpu_seconds_total", "Processor time of the main loop by work", ["stage"]
)
_STAGES = {name: CPU_SECONDS.labels(name) for name in ("receive", "decode", "check", "write")}


@contextmanager
def cpu(stage: str) -> Iterator[None]:
    """Count the processor time of work without a pause: receive, decode, check or write."""
    begun = thread_time()
    try:
        yield
    finally:
        _STAGES[stage].inc(thread_time() - begun)


COMMIT_SECONDS = Histogram(
    "silverline_ingest_commit_seconds",
    "From receiving a frame to its commit; frames of vitals that were read together count once",
    ["lane"],
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 15, 60, 300),
)
LATENESS_SECONDS = Histogram(
    "silverline_ingest_lateness_seconds",
    "From a device's time to receiving the message; of vitals that were read together the oldest",
    buckets=(0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 86400, 7 * 86400),
)
