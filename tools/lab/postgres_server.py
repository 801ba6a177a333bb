"""The TimescaleDB server inside a Debian root: made once, started and stopped, ours alone."""

import json
import secrets
import socket
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

from tools.lab.debian_root import DebianRoot, last_lines
from tools.lab.errors import LabError

PG_MAJOR = 18
DATABASE = "silverline"
_USER = "lab"
_BIN = f"/usr/lib/postgresql/{PG_MAJOR}/bin"
_DATA = "/var/lib/postgresql/lab"
_LOG = "/var/log/postgresql/lab.log"
_HOST = "127.0.0.1"
_START_SECONDS = 60

# Durability is off: the server is for tests, its data can be made again, and every test makes
# databases. Parallel workers share memory by files, because the root has no /dev/shm. Nothing is
# reported to anybody (telemetry_level). Each database with the extension takes a worker slot.
_CONFIG = """\
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
dynamic_shared_memory_type = mmap
shared_preload_libraries = 'timescaledb'
timescaledb.telemetry_level = off
timescaledb.max_background_workers = 24
max_worker_processes = 40
max_connections = 200
max_locks_per_transaction = 256
shared_buffers = 256MB
max_wal_size = 2GB
fsync = off
synchronous_commit = off
full_page_writes = off
password_encryption = scram-sha-256
logging_collector = off
log_timezone = 'UTC'
timezone = 'UTC'
"""
_HBA = "host all all 127.0.0.1/32 scram-sha-256\n"


@dataclass(frozen=True, slots=True)
class Account:
    """Where the server listens and the password of its superuser, as kept in a 0600 file."""

    port: int
    password: str

    @property
    def url(self) -> str:
        """Return the libpq URL of the superuser, with the password in it."""
        return f"postgresql://{_USER}:{self.password}@{_HOST}:{self.port}/{DATABASE}"


class LabServer:
    """The server of one root. All paths are inside the root unless they say otherwise."""

    def __init__(self, root: DebianRoot, account_file: Path) -> None:
        self._root = root
        self._account_file = account_file

    def account(self) -> Account | None:
        """Return port and password, None before the first start."""
        try:
            return Account(**json.loads(self._account_file.read_text()))
        except FileNotFoundError:
            return None

    def pid(self) -> int | None:
        """Return the process of the running server, None when it is not running.

        A number in a stale pid file may by now be anybody's process: it counts only when its root
        folder is ours.
        """
        try:
            pid = int(self._outside(_DATA, "postmaster.pid").read_text().split("\n", 1)[0])
            its_root = Path(f"/proc/{pid}/root").readlink()
        except (OSError, ValueError):
            return None
        return pid if its_root == self._root.path.resolve() else None

    def start(self, wanted_port: int | None) -> Account:
        """Start the server if it is not running and return its account. Raises LabError."""
        known = self.account()
        if known and self.pid() and wanted_port in {None, known.port}:
            return known
        port = _choose_port(wanted_port, known.port if known else None)
        self.stop()
        account = Account(
            port=port,
            password=known.password if known else secrets.token_urlsafe(24),
        )
        self._keep(account)
        self._initialise(account)
        self._configure(account)
        self._start_process()
        self._make_database(account)
        return account

    def stop(self) -> bool:
        """Stop the server, if it runs; return whether it did."""
        if self.pid() is None:
            return False
        done = self._as_postgres(f"{_BIN}/pg_ctl", "-D", _DATA, "-m", "fast", "-w", "stop")
        if done.returncode != 0:
            raise LabError(f"the server does not stop: {done.stderr.strip()}")
        return True

    def edition(self) -> str:
        """Return versions and edition of the running server, for people."""
        account = self.account()
        if account is None:
            raise LabError("the server has never been started")
        return self._ask(
            account,
            DATABASE,
            "SELECT format('PostgreSQL %s, TimescaleDB %s, %s edition', "
            "current_setting('server_version'), extversion, "
            "current_setting('timescaledb.license')) "
            "FROM pg_extension WHERE extname = 'timescaledb'",
        )

    def _initialise(self, account: Account) -> None:
        if self._outside(_DATA, "PG_VERSION").exists():
            return
        # Made beside and renamed, so that an interrupted initdb is never taken for a cluster.
        fresh = _DATA + ".new"
        script = (
            f'rm -rf {fresh} && umask 077 && printf %s "$LAB_PASSWORD" >{fresh}.pw && '
            f"{_BIN}/initdb -D {fresh} -U {_USER} --pwfile={fresh}.pw --auth=scram-sha-256 -N "
            "-E UTF8 --locale=C --locale-provider=builtin --builtin-locale=C.UTF-8; "
            f"code=$?; rm -f {fresh}.pw; exit $code"
        )
        done = self._root.run(
            ["sh", "-c", script], user="postgres:postgres", env={"LAB_PASSWORD": account.password}
        )
        if done.returncode != 0:
            raise LabError(f"initdb failed: {done.stderr.strip()}")
        self._outside(fresh).rename(self._outside(_DATA))

    def _configure(self, account: Account) -> None:
        self._outside(_DATA, "postgresql.conf").write_text(_CONFIG.format(port=account.port))
        self._outside(_DATA, "pg_hba.conf").write_text(_HBA)

    def _start_process(self) -> None:
        # Not running (start() looked), so whatever is in a pid file is the number of a stranger.
        self._outside(_DATA, "postmaster.pid").unlink(missing_ok=True)
        done = self._as_postgres(
            f"{_BIN}/pg_ctl", "-D", _DATA, "-l", _LOG, "-w", "-t", str(_START_SECONDS), "start"
        )
        if done.returncode != 0:
            log = self._outside(_LOG)
            raise LabError(f"the server does not start; the end of {log}:\n{last_lines(log)}")

    def _make_database(self, account: Account) -> None:
        existing = self._ask(account, "postgres", "SELECT datname FROM pg_database").split()
        if DATABASE not in existing:
            self._ask(account, "postgres", f"CREATE DATABASE {DATABASE}")
        self._ask(account, DATABASE, "CREATE EXTENSION IF NOT EXISTS timescaledb")

    def _ask(self, account: Account, database: str, sql: str) -> str:
        where = ["-h", _HOST, "-p", str(account.port), "-U", _USER, "-d", database]
        done = self._root.run(
            [f"{_BIN}/psql", "-XAtq", "-v", "ON_ERROR_STOP=1", *where, "-c", sql],
            user="postgres:postgres",
            env={"PGPASSWORD": account.password, "PGOPTIONS": "-c client_min_messages=warning"},
        )
        if done.returncode != 0:
            raise LabError(f"the server does not answer: {done.stderr.strip()}")
        return done.stdout.strip()

    def _as_postgres(self, *command: str) -> subprocess.CompletedProcess[str]:
        return self._root.run(command, user="postgres:postgres")

    def _outside(self, inside: str, *parts: str) -> Path:
        """Return where a path inside the root is for the machine."""
        return self._root.path.joinpath(inside.lstrip("/"), *parts)

    def _keep(self, account: Account) -> None:
        fresh = self._account_file.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        fresh.touch(mode=0o600)
        fresh.write_text(json.dumps(asdict(account)))
        fresh.rename(self._account_file)


def _choose_port(wanted: int | None, remembered: int | None) -> int:
    """Return the wanted port, else the remembered one while it is free, else any free one."""
    if wanted is not None:
        if not _is_free(wanted):
            raise LabError(f"port {wanted} is in use by somebody else; choose another with --port")
        return wanted
    if remembered is not None and _is_free(remembered):
        return remembered
    return _free_port()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _is_free(port: int) -> bool:
    # Our own server that has just stopped leaves connections in TIME_WAIT: those do not count.
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError:
            return False
    return True
