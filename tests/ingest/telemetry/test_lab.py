"""The laboratory's command: what it says, what it leaves alone, and that its server is locked."""

import fcntl
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.conftest import IN_CI
from tools.lab import debian_root
from tools.lab.errors import LabError

Run = Callable[..., subprocess.CompletedProcess[str]]
ROOT = os.geteuid() == 0


@pytest.fixture
def empty_lab(project: Path, tmp_path: Path) -> Run:
    """Runs the command with a folder in which nothing was ever built."""

    def run(*words: str, before: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*before, sys.executable, str(project / "tools/lab/timescaledb"), *words],
            env=os.environ | {"SILVERLINE_LAB_DIR": str(tmp_path / "lab")},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.mark.skipif(not ROOT and not IN_CI, reason="the laboratory is for root")
def test_before_the_first_start_every_command_has_an_answer(empty_lab: Run) -> None:
    status, url, down, clean = (empty_lab(word) for word in ("status", "url", "down", "clean"))
    assert (status.returncode, url.returncode) == (1, 1)
    assert "not built" in status.stdout
    assert "tools/lab/timescaledb up" in url.stderr
    assert url.stdout == ""
    assert (down.returncode, clean.returncode) == (0, 0)


def test_without_root_it_says_so_and_leaves_nothing_behind(empty_lab: Run, tmp_path: Path) -> None:
    as_nobody = ("setpriv", "--reuid=65534", "--clear-groups") if ROOT else ()
    done = empty_lab("up", before=as_nobody)
    assert done.returncode == 3
    assert "needs root" in done.stderr
    assert not (tmp_path / "lab").exists()


@pytest.mark.skipif(not ROOT and not IN_CI, reason="the laboratory is for root")
def test_two_runs_at_once_wait_for_each_other(
    empty_lab: Run, project: Path, tmp_path: Path
) -> None:
    (tmp_path / "lab").mkdir()
    with (tmp_path / "lab/lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waiting = subprocess.Popen(
            [sys.executable, str(project / "tools/lab/timescaledb"), "status"],
            env=os.environ | {"SILVERLINE_LAB_DIR": str(tmp_path / "lab")},
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert waiting.stderr is not None
        assert "waiting for another run" in waiting.stderr.readline()
    out, _ = waiting.communicate(timeout=20)
    assert "not built" in out


def test_the_server_is_a_timescaledb_behind_a_password(lab_url: str) -> None:
    with psycopg.connect(lab_url) as conn:
        row = conn.execute(
            "SELECT current_setting('timescaledb.license'), inet_server_addr()::text,"
            " current_setting('password_encryption')"
        ).fetchone()
    assert row == ("apache", "127.0.0.1/32", "scram-sha-256")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(make_conninfo(lab_url, password="guessed"))


def test_a_second_start_gives_the_same_server(lab_url: str, project: Path) -> None:
    done = subprocess.run(
        [str(project / "tools/lab/timescaledb"), "up", "--transient"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == lab_url


def test_the_password_is_kept_where_only_its_owner_reads_it(lab_url: str, project: Path) -> None:
    folder = Path(os.environ.get("SILVERLINE_LAB_DIR") or project / "var/lab/timescaledb")
    password = str(conninfo_to_dict(lab_url)["password"])
    assert password in (folder / "server.json").read_text()
    assert stat.S_IMODE((folder / "server.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    told = "".join(path.read_text(errors="replace") for path in folder.glob("*.log"))
    assert password not in told


def test_nothing_of_this_machines_mirror_stays_in_the_system(lab_url: str, project: Path) -> None:
    del lab_url
    folder = Path(os.environ.get("SILVERLINE_LAB_DIR") or project / "var/lab/timescaledb")
    assert not (folder / "rootfs/etc/apt/sources.list").exists()
    assert not (folder / "rootfs/etc/apt/apt.conf.d/lab").exists()
    assert debian_root.mounts_below(folder) == []


@pytest.mark.skipif(not ROOT and not IN_CI, reason="mounts need root")
def test_a_folder_with_a_mount_in_it_is_never_deleted(project: Path, tmp_path: Path) -> None:
    (tmp_path / "root/proc").mkdir(parents=True)
    script = (
        f"mount -t proc proc {tmp_path}/root/proc && {sys.executable} -c '"
        "from pathlib import Path; from tools.lab.debian_root import remove_tree;"
        f'remove_tree(Path("{tmp_path}/root"))\''
    )
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", script],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "unmount it first" in done.stderr
    assert (tmp_path / "root/proc").exists()


def test_the_mirror_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SILVERLINE_LAB_MIRROR", "http://127.0.0.1:9/debian")
    assert debian_root.debian_mirror() == "http://127.0.0.1:9/debian"


def test_a_failing_step_is_told_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"(?s)the build failed.*no space in this house"):
        debian_root.run_logged(
            ["sh", "-c", "echo no space in this house; exit 7"],
            tmp_path / "log",
            "the build failed",
            env={},
            held_fd=None,
        )
