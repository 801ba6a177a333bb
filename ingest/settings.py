"""What ingest can be told, with the defaults of a small installation."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class IngestSettings:
    """Settings of one ingest process.

    `mqtt_share_group` lets several processes share the messages of a broker that speaks MQTT 5;
    each then needs a `client_id` of its own, which must stay the same over restarts, because the
    broker keeps its session. `mqtt_protocol` is "auto" (5, else 3.1.1), "5" or "3.1.1".

    A lane holds at most `queue_frames` frames and about `queue_bytes` of memory that are received
    and not yet committed; beyond that it stops reading and the broker keeps the rest. A batch is
    written when `batch_messages` are there, when the oldest has waited for `flush_ms`, or when
    nothing more has come for `quiet_ms`.

    `tcp_port` is for Setracker watches, `tcp_extra` are (codec, port) of further protocols. A port
    of -1 does not listen, 0 is any free one. A connection ends after `tcp_idle_seconds` of silence
    or `tcp_bad_frames` useless frames in a row.

    Of what cannot be used, `letters_per_address` is kept for each stranger's address and
    `letters_in_all` for all strangers of a listener, `letters_per_device` for each device of the
    registry; in KiB, at least one for each frame, and as much again within six hours.

    `scaip_port` is for social alarm controllers (SIP over UDP and TCP); -1 and 0 as above.
    """

    mqtt_host: str = "127.0.0.1"
    mqtt_port: int = 1883
    mqtt_username: str = ""
    mqtt_password: str = field(default="", repr=False)
    mqtt_tls: bool = False
    mqtt_ca_file: str = ""
    mqtt_share_group: str = ""
    mqtt_protocol: str = "auto"
    mqtt_keepalive_seconds: int = 30
    mqtt_session_seconds: int = 7 * 86_400
    client_id: str = ""
    tcp_host: str = "127.0.0.1"
    tcp_port: int = 5093
    tcp_extra: tuple[tuple[str, int], ...] = ()
    tcp_idle_seconds: float = 900.0
    tcp_connections: int = 20_000
    tcp_connections_per_address: int = 2_000
    tcp_bad_frames: int = 20
    letters_per_address: int = 100
    letters_in_all: int = 2_000
    letters_per_device: int = 200
    scaip_host: str = "127.0.0.1"
    scaip_port: int = -1
    flush_ms: int = 200
    quiet_ms: int = 10
    batch_messages: int = 5_000
    queue_frames: int = 10_000
    queue_bytes: int = 96 * 1024 * 1024
    express_workers: int = 4
    drain_seconds: float = 5.0
    latest_seconds: float = 1.0
