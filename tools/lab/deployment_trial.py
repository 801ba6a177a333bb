"""Mosquitto and Caddy of the laboratory, run with the files in deploy/ (see tools/lab/deployment).

    python deployment_trial.py ROOT

Wants a network of its own: the ports are those of production. ROOT is a Debian with the programs
and, in /srv/check, the files. Prints a line for each thing that is right; exit code 1 at the first
that is not.
"""

import asyncio
import contextlib
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import urlopen

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from app.embedded.postgres import EmbeddedPostgres
from devices.credentials.dynsec import (
    DynamicSecurity,
    DynsecSettings,
    grant_commands,
    service_commands,
)

_PATIENCE_SECONDS = 30.0
_MESSAGES = 2000
_INGEST, _DEVICE, _SECRET = "silverline-ingest", "BAND-0001", "of the device"
_QUIET = subprocess.DEVNULL
_UID = 1883  # The user of the official image.
_PLUGINS = "usr/lib/x86_64-linux-gnu/mosquitto"


class WrongError(Exception):
    """Something is not as it must be."""


def main(root: Path) -> None:
    """Try broker and proxy. Raises WrongError with a sentence."""
    _furnish(root)
    asyncio.run(_try_broker(root))
    _furnish(root)
    _try_processes(root)
    _try_proxy(root)


def _furnish(root: Path) -> None:
    """Put the files where the images have them."""
    for name in ("mosquitto_dynamic_security.so", "mosquitto_persist_sqlite.so"):
        link = root / "usr/lib" / name
        link.unlink(missing_ok=True)
        link.symlink_to(f"/{_PLUGINS}/{name}")
    data = root / "mosquitto/data"
    data.mkdir(parents=True, exist_ok=True)
    for path in data.iterdir():
        path.unlink()
    os.chown(data, _UID, _UID)
    secrets = root / "run/secrets"
    secrets.mkdir(parents=True, exist_ok=True)
    made = root / "srv/check/secrets/mqtt_admin_password"
    (secrets / "mqtt_admin_password").unlink(missing_ok=True)
    (secrets / "mqtt_admin_password").write_text(made.read_text())
    (secrets / "mqtt_admin_password").chmod(0o444)
    # Mosquitto looks its user up, and crashes over one without a name.
    for name, line in (("passwd", "broker:x:1883:1883::/:/bin/false"), ("group", "broker:x:1883:")):
        table = root / "etc" / name
        if line not in table.read_text():
            table.write_text(f"{table.read_text().rstrip()}\n{line}\n")
    (root / "etc/hosts").write_text("127.0.0.1 localhost web grafana silverline.example\n")


async def _try_broker(root: Path) -> None:
    admin = (root / "run/secrets/mqtt_admin_password").read_text().strip()
    dynsec = DynamicSecurity(DynsecSettings("127.0.0.1", 1883, "admin", admin))
    with _broker(root):
        await dynsec.send(service_commands(_INGEST, "of ingest"))
        await dynsec.send(grant_commands(_DEVICE, _SECRET, []))
        _good("Mosquitto starts with our file, makes its administrator and takes our commands")
        _refuses_strangers()
        _leave_sessions()
        _publish("vitals", _MESSAGES)
        # Here the broker is killed, not ended: the worst moment, nothing more is written down.
    with _broker(root):
        _publish("vitals", _MESSAGES)
        for name in _sessions():
            got = _collect(name)
            if got != 2 * _MESSAGES:
                raise WrongError(f"{name} got {got} of {2 * _MESSAGES} messages after kill -9")
            _good(f"kill -9 with {_MESSAGES} waiting, {_MESSAGES} more after: {name} got {got}")


@contextlib.contextmanager
def _broker(root: Path) -> Iterator[None]:
    config = "/srv/check/deploy/mosquitto/mosquitto.conf"
    process = subprocess.Popen(
        ["chroot", f"--userspec={_UID}:{_UID}", "--groups=", str(root), "/usr/sbin/mosquitto",
         "-c", config]
    )  # fmt: skip
    try:
        _wait_port(1883, process)
        yield
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def _wait_port(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        time.sleep(0.05)
    raise WrongError(f"nobody listens on {port}; exit code {process.poll()}")


def _client(client_id: str, user: str, password: str) -> mqtt.Client:
    client = mqtt.Client(
        CallbackAPIVersion.VERSION2, client_id=client_id, protocol=MQTTProtocolVersion.MQTTv5
    )
    client.username_pw_set(user, password)
    return client


def _connect(client: mqtt.Client, *, clean: bool) -> str:
    """Connect and return what the broker says: `Success`, or why not."""
    said: queue.Queue[str] = queue.Queue()
    client.on_connect = lambda _c, _u, _f, reason, _p: said.put(str(reason))
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = 0 if clean else 86400
    client.connect("127.0.0.1", 1883, clean_start=clean, properties=properties)
    client.loop_start()
    return said.get(timeout=_PATIENCE_SECONDS)


def _end(client: mqtt.Client) -> None:
    client.disconnect()
    client.loop_stop()


def _refuses_strangers() -> None:
    stranger = _client("stranger", _DEVICE, "wrong")
    said = _connect(stranger, clean=True)
    _end(stranger)
    if said == "Success":
        raise WrongError("a wrong password is let in")
    device = _client(_DEVICE, _DEVICE, _SECRET)
    if (said := _connect(device, clean=True)) != "Success":
        raise WrongError(f"the device is not let in: {said}")
    answers: queue.Queue[str] = queue.Queue()
    device.on_publish = lambda _c, _u, _m, reason, _p: answers.put(str(reason))
    device.publish("silverline/v1/SOMEBODY-ELSE/vitals", b"{}", qos=1)
    foreign = answers.get(timeout=_PATIENCE_SECONDS)
    device.publish(f"silverline/v1/{_DEVICE}/vitals", b"{}", qos=1)
    own = answers.get(timeout=_PATIENCE_SECONDS)
    _end(device)
    if foreign != "Not authorized" or own == "Not authorized":
        raise WrongError(f"publishing: under a foreign id {foreign}, under its own {own}")
    _good("a wrong password and a foreign id are refused")


def _sessions() -> dict[str, str]:
    topic = f"silverline/v1/{_DEVICE}/vitals"
    return {"plain-session": topic, "shared-session": f"$share/silverline/{topic}"}


def _leave_sessions() -> None:
    for name, topic in _sessions().items():
        client = _client(name, _INGEST, "of ingest")
        _connect(client, clean=False)
        subscribed = threading.Event()
        client.on_subscribe = lambda *_, done=subscribed: done.set()
        client.subscribe(topic, qos=1)
        if not subscribed.wait(_PATIENCE_SECONDS):
            raise WrongError(f"{name} cannot subscribe")
        _end(client)


def _publish(kind: str, count: int) -> None:
    device = _client(_DEVICE, _DEVICE, _SECRET)
    if (said := _connect(device, clean=True)) != "Success":
        raise WrongError(f"the device is not let in: {said}")
    sent = [device.publish(f"silverline/v1/{_DEVICE}/{kind}", b"{}", qos=1) for _ in range(count)]
    for message in sent:
        message.wait_for_publish(_PATIENCE_SECONDS)
        if not message.is_published():
            raise WrongError("the broker does not acknowledge")
    _end(device)


def _collect(name: str) -> int:
    """Return how many messages wait in a session; nothing is subscribed again."""
    client = _client(name, _INGEST, "of ingest")
    arrived = threading.Semaphore(0)
    client.on_message = lambda *_: arrived.release()
    _connect(client, clean=False)
    count = 0
    while arrived.acquire(timeout=5 if count < 2 * _MESSAGES else 0.5):
        count += 1
    _end(client)
    return count


def _try_processes(root: Path) -> None:
    """Migrate and ingest against the broker, with secrets from files, as in compose.yaml."""
    with _broker(root), tempfile.TemporaryDirectory() as name:
        server = EmbeddedPostgres(Path(name) / "database/data")
        server.data_dir.parent.mkdir()
        server.start()
        try:
            url = server.ensure_database()
            environment = _environment(root, Path(name) / "secrets", url)
            subprocess.run(_silverline("migrate"), env=environment, stdout=_QUIET, check=True)
            _good("silverline migrate makes our own user on the broker")
            ingests = [
                subprocess.Popen(
                    _silverline("ingest"),
                    env=environment | {"SILVERLINE_MQTT__CLIENT_ID": f"ingest-{number}",
                                       "SILVERLINE_HEALTH__PORT": str(9100 + number)},
                )
                for number in (1, 2)
            ]  # fmt: skip
            ports = (9101, 9102)
            try:
                _wait_for(lambda: all(map(_is_ready, ports)), "ingest")
                _good("two ingest processes share a subscription with MQTT 5")
                asyncio.run(_let_in(root))
                _publish("vitals", 100)
                _wait_for(lambda: sum(map(_frames, ports)) >= 100, "what the device said")
                shares = [_frames(port) for port in ports]
                if sum(shares) != 100 or not all(shares):
                    raise WrongError(f"of 100 frames they got {shares}")
                _good(f"of 100 frames they got {shares[0]} and {shares[1]}")
            finally:
                for process in ingests:
                    process.terminate()
                    process.wait(_PATIENCE_SECONDS)
        finally:
            server.stop()


def _environment(root: Path, secrets: Path, url: str) -> dict[str, str]:
    secrets.mkdir()
    made = root / "srv/check/secrets"
    for name, setting in (
        ("master_key", "SILVERLINE_MASTER_KEY"),
        ("mqtt_ingest_password", "SILVERLINE_MQTT__PASSWORD"),
        ("mqtt_admin_password", "SILVERLINE_MQTT__DYNSEC_PASSWORD"),
    ):
        (secrets / setting).write_text((made / name).read_text())
    return os.environ | {
        "SILVERLINE_SECRETS_DIR": str(secrets),
        "SILVERLINE_DATABASE__URL": url,
        "SILVERLINE_MQTT__SHARE_GROUP": "silverline",
        "SILVERLINE_MQTT__PROTOCOL": "5",
        "SILVERLINE_WATCH__PORT": "0",
        "SILVERLINE_LOG_LEVEL": "ERROR",
    }


def _silverline(command: str) -> list[str]:
    return [sys.executable, "-m", "app.cli", command]


async def _let_in(root: Path) -> None:
    admin = (root / "run/secrets/mqtt_admin_password").read_text().strip()
    dynsec = DynamicSecurity(DynsecSettings("127.0.0.1", 1883, "admin", admin))
    await dynsec.send(grant_commands(_DEVICE, _SECRET, []))


def _wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise WrongError(f"waited in vain for {what}")
        time.sleep(0.1)


def _is_ready(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _frames(port: int) -> int:
    """Return how many frames an ingest process has had, as it says itself."""
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    found = re.findall(r"^silverline_ingest_frames_total\{.*\} (\S+)$", text, re.M)
    return int(sum(float(value) for value in found))


def _try_proxy(root: Path) -> None:
    """Hold an event stream open through Caddy and look when its first event arrives."""
    upstream = socket.create_server(("127.0.0.1", 8080))
    release = threading.Event()
    threading.Thread(target=_serve_events, args=(upstream, release), daemon=True).start()
    proxy = subprocess.Popen(
        ["chroot", str(root), "/usr/bin/env", "-i", "HOME=/tmp", "PATH=/usr/bin:/bin",
         "SITE_ADDRESS=silverline.example", "TLS_MODE=internal",
         "caddy", "run", "--config", "/srv/check/deploy/caddy/Caddyfile", "--adapter", "caddyfile"],
        stdout=_QUIET,
        stderr=_QUIET,
    )  # fmt: skip
    try:
        _wait_port(443, proxy)
        reader = subprocess.Popen(
            ["curl", "-skN", "--http2", "--compressed", "--noproxy", "*", "--retry", "10",
             "--retry-all-errors", "--resolve", "silverline.example:443:127.0.0.1", "--write-out",
             "\n%{http_version}", "https://silverline.example/live"],
            stdout=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        lines: queue.Queue[str] = queue.Queue()
        reading = threading.Thread(target=_read, args=(reader, lines), daemon=True)
        reading.start()
        # Nothing is released before this line is here: a proxy that waits for more never sends it.
        first = lines.get(timeout=_PATIENCE_SECONDS)
        release.set()
        reading.join(_PATIENCE_SECONDS)
    except queue.Empty as error:
        raise WrongError("Caddy keeps an event back until the stream ends") from error
    finally:
        proxy.kill()
        proxy.wait()
    version = list(lines.queue)[-1]
    if first != 'data: {"event":"first"}' or version != "2":
        raise WrongError(f"through Caddy came {first!r}, over HTTP/{version}")
    _good("an event passes Caddy at once, over HTTP/2, while the stream stays open")


def _serve_events(server: socket.socket, release: threading.Event) -> None:
    while True:
        connection, _ = server.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
                b'data: {"event":"first"}\n\n'
            )
            release.wait(_PATIENCE_SECONDS)
            connection.sendall(b"data: {}\n")


def _read(process: subprocess.Popen[str], lines: "queue.Queue[str]") -> None:
    if process.stdout is not None:
        for line in process.stdout:
            lines.put(line.rstrip("\n"))


def _good(text: str) -> None:
    print(f"  ✓ {text}", flush=True)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except WrongError as wrong:
        print(f"  ✗ {wrong}", file=sys.stderr)
        raise SystemExit(1) from None
