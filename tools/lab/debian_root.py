"""A Debian system in a folder: bootstrapped, given packages, entered by chroot; no Docker.

Nothing is mounted in the machine's own mount namespace. Every command that needs /proc runs in a
mount namespace of its own (unshare), so its mounts vanish with the command, however it ends.
"""

import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tools.lab.errors import LabError, NotPossibleHereError

# What the last stage of a build writes: a folder with this file is complete.
_STAMP = "etc/silverline-lab"
# Raise it when a root built by older code can no longer be used: it is then built afresh.
_FORMAT = "1"
_NEEDED_BYTES = 1_500_000_000
_SCRIPTS = Path("/usr/share/debootstrap/scripts")
_CA_BUNDLE = "etc/ssl/certs/ca-certificates.crt"
_ROOT_ENV = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C",
    "HOME": "/root",
    "DEBIAN_FRONTEND": "noninteractive",
}
_PRIVATE_MOUNTS = ("unshare", "--mount", "--propagation", "private", "--")
_WITH_PROC = 'root="$1"; shift; mount -t proc proc "$root/proc" && exec chroot "$root" "$@"'
# The parts of the machine's apt configuration that say how to fetch, not what.
_FETCH_OPTIONS = ("acquire::http", "acquire::ftp", "acquire::retries", "acquire::check-")


class DebianRoot:
    """One bootstrapped system. `held_fd` is a lock that its builders keep open while they live."""

    def __init__(self, path: Path, *, suite: str, packages: Sequence[str], held_fd: int) -> None:
        self.path = path
        self._suite = suite
        self._packages = tuple(packages)
        self._held_fd = held_fd

    def is_built(self) -> bool:
        """Return whether a complete system of the wanted kind is there."""
        try:
            return (self.path / _STAMP).read_text() == self._stamp()
        except OSError:
            return False

    def build(self, log: Path) -> None:
        """Bootstrap the system and install the packages; replaces what was there.

        It is built beside and renamed when complete, so that a broken build is never taken for a
        whole one. Raises LabError, and NotPossibleHereError where the machine cannot do it.
        """
        _check_machine(self.path.parent)
        _ensure_debootstrap(log)
        fresh = self.path.with_name(self.path.name + ".new")
        remove_tree(fresh)
        mirror = debian_mirror()
        try:
            self._bootstrap(fresh, mirror, log)
            _prepare(fresh, mirror)
            self._install(fresh, log)
            _forget_mirror(fresh)
            (fresh / _STAMP).write_text(self._stamp())
            remove_tree(self.path)
            fresh.rename(self.path)
        except BaseException:
            remove_tree(fresh)
            raise

    def run(
        self, command: Sequence[str], *, user: str | None = None, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside, without /proc, and return what it printed and its exit code."""
        who = [f"--userspec={user}"] if user else []
        return subprocess.run(
            ["chroot", *who, str(self.path), *command],
            env={**_ROOT_ENV, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def _stamp(self) -> str:
        return "\n".join([_FORMAT, self._suite, *self._packages]) + "\n"

    def _bootstrap(self, root: Path, mirror: str, log: Path) -> None:
        own_script = _SCRIPTS / self._suite
        script = own_script if own_script.exists() else _SCRIPTS / "sid"
        root.mkdir(parents=True)
        what = [self._suite, str(root), mirror, str(script)]
        run_logged(
            [*_PRIVATE_MOUNTS, "debootstrap", "--variant=minbase", *what],
            log,
            f"debootstrap of Debian {self._suite} failed",
            env={**_proxy_environment(), **os.environ, "LC_ALL": "C"},
            held_fd=self._held_fd,
        )

    def _install(self, root: Path, log: Path) -> None:
        inside = [*_PRIVATE_MOUNTS, "sh", "-c", _WITH_PROC, "sh", str(root)]
        env = {**_ROOT_ENV, **_proxy_environment()}
        for command in (
            ["apt-get", "-q", "update"],
            ["apt-get", "-q", "-y", "--no-install-recommends", "install", *self._packages],
            ["apt-get", "clean"],
        ):
            run_logged(
                [*inside, *command],
                log,
                f"{' '.join(command)} failed inside Debian {self._suite}",
                env=env,
                held_fd=self._held_fd,
            )


def run_logged(
    command: Sequence[str], log: Path, failure: str, *, env: dict[str, str], held_fd: int | None
) -> None:
    """Run a command with its output in `log`; raise LabError with its last lines if it fails.

    The command is a process group of its own and is ended with us, also on Ctrl-C. While it lives
    it keeps `held_fd` open, so that nobody starts a second build beside an orphaned one.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=() if held_fd is None else (held_fd,),
        )
        try:
            code = process.wait()
        except BaseException:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()
            raise
    if code != 0:
        raise LabError(
            f"{failure} (exit code {code}); its last words, the rest is in {log}:\n"
            + last_lines(log)
        )


def last_lines(log: Path, count: int = 8) -> str:
    """Return the end of a log, indented, or a word that there is none."""
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError:
        return "    (no log)"
    return "\n".join(f"    {line}" for line in lines[-count:])


def debian_mirror() -> str:
    """Return the address of the Debian mirror that this machine's apt uses.

    `SILVERLINE_LAB_MIRROR` overrides it. Raises LabError when apt knows no Debian archive.
    """
    override = os.environ.get("SILVERLINE_LAB_MIRROR")
    if override:
        return override
    codename = _os_release().get("VERSION_CODENAME", "")
    # --no-release-info: answers from the sources alone, also before the first `apt-get update`.
    targets = _output(
        "apt-get", "indextargets", "--no-release-info",
        "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages",
    )  # fmt: skip
    for line in targets.splitlines():
        address, release, component = line.split()
        if release in {codename, "stable"} and component == "main":
            return _resolve_mirror_file(address)
    raise LabError(
        "apt is not configured for a Debian archive (no `main` of this release in its sources); "
        "set SILVERLINE_LAB_MIRROR to the address of a Debian mirror"
    )


def remove_tree(path: Path) -> None:
    """Delete a folder. Raises LabError when a mount is in it: that would be emptied too."""
    if not path.exists():
        return
    mounted = mounts_below(path)
    if mounted:
        raise LabError(
            f"{mounted[0]} is a mount inside {path}: unmount it first, nothing was deleted"
        )
    shutil.rmtree(path)


def mounts_below(path: Path) -> list[str]:
    """Return the mount points at or under a path in our mount namespace."""
    inside = str(path.resolve())
    table = Path("/proc/self/mountinfo").read_text().splitlines()
    points = [line.split()[4].encode().decode("unicode_escape") for line in table]
    return [point for point in points if point == inside or point.startswith(inside + "/")]


def _check_machine(folder: Path) -> None:
    if os.geteuid() != 0:
        raise NotPossibleHereError("this needs root: it makes a chroot; run it with sudo")
    if not shutil.which("apt-get"):
        raise NotPossibleHereError("this is not a Debian machine: there is no apt-get")
    if subprocess.run([*_PRIVATE_MOUNTS, "true"], check=False, capture_output=True).returncode:
        raise NotPossibleHereError(
            "root may not mount anything here (a container without CAP_SYS_ADMIN?), "
            "and packages need /proc while they are configured"
        )
    free = shutil.disk_usage(folder).free
    if free < _NEEDED_BYTES:
        raise LabError(f"{folder} has {free // 1_000_000} MB free, the system needs 1,500 MB")


def _ensure_debootstrap(log: Path) -> None:
    if shutil.which("debootstrap"):
        return
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "-q", "-y", "--no-install-recommends", "install", "debootstrap"]
    try:
        run_logged(install, log, "apt-get install debootstrap failed", env=env, held_fd=None)
    except LabError:
        update = ["apt-get", "-q", "update"]
        run_logged(update, log, "apt-get update failed", env=env, held_fd=None)
        run_logged(install, log, "apt-get install debootstrap failed", env=env, held_fd=None)


def _prepare(root: Path, mirror: str) -> None:
    """Give the fresh system what its packages must find before they are configured."""
    policy = root / "usr/sbin/policy-rc.d"
    policy.write_text(
        "#!/bin/sh\n# Nothing is started here: the laboratory starts its own server.\nexit 101\n"
    )
    policy.chmod(0o755)
    common = root / "etc/postgresql-common"
    common.mkdir(exist_ok=True)
    (common / "createcluster.conf").write_text("create_main_cluster = false\n")
    # A build that was interrupted is thrown away, so dpkg need not sync every file.
    (root / "etc/dpkg/dpkg.cfg.d/lab").write_text("force-unsafe-io\nforce-confold\n")
    options = _fetch_options()
    if mirror.startswith("https:") and Path("/", _CA_BUNDLE).exists():
        bundle = root / _CA_BUNDLE
        bundle.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy("/" + _CA_BUNDLE, bundle)
        options += f'Acquire::https::CAInfo "/{_CA_BUNDLE}";\n'
    _write_private(root / "etc/apt/apt.conf.d/lab", options)


def _forget_mirror(root: Path) -> None:
    """Leave no address and no proxy of this machine behind in the cached system."""
    (root / "etc/apt/apt.conf.d/lab").unlink()
    (root / "etc/apt/sources.list").unlink(missing_ok=True)
    shutil.rmtree(root / "var/lib/apt/lists")


def _write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)


def _fetch_options() -> str:
    """Return how this machine's apt fetches (proxies, checks of dates), in apt's own notation."""
    dump = _output("apt-config", "dump", "--format", '%F "%v";%n').splitlines()
    return "".join(f"{line}\n" for line in dump if line.lower().startswith(_FETCH_OPTIONS))


def _proxy_environment() -> dict[str, str]:
    """Return the proxy of apt as the variables that debootstrap's downloader understands."""
    found: dict[str, str] = {}
    for scheme in ("http", "https"):
        value = _output("apt-config", "dump", "--format", "%v", f"Acquire::{scheme}::Proxy").strip()
        if value and value.upper() != "DIRECT":
            found[f"{scheme}_proxy"] = value
    return found


def _resolve_mirror_file(address: str) -> str:
    """Return the first mirror of a `mirror+file:` list, or the address itself."""
    prefix = "mirror+file:"
    if not address.startswith(prefix):
        return address
    entries = Path(address.removeprefix(prefix).rstrip("/")).read_text().splitlines()
    for entry in entries:
        if entry.startswith(("http:", "https:")):
            return entry.split()[0]
    raise LabError("the mirror list of apt names no http mirror; set SILVERLINE_LAB_MIRROR")


def _os_release() -> dict[str, str]:
    lines = Path("/etc/os-release").read_text().splitlines()
    pairs = (line.partition("=") for line in lines if "=" in line)
    return {key: value.strip('"') for key, _, value in pairs}


def _output(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise LabError(f"{' '.join(command[:2])} does not work here: {error}") from error
    return done.stdout
