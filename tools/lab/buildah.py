"""Builds a container image without a Docker engine and without an image registry.

buildah (a Debian package) runs every step of the Containerfile for real. The images named in its
FROM lines are stand-ins made here: a Debian of the same suite with its own Python, which must be of
the same version as the tag says. What they cannot show is listed in docs/production.md.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.lab.debian_root import DebianRoot, remove_tree, run_logged
from tools.lab.errors import LabError, NotPossibleHereError

_STAND_IN_PACKAGES = ("ca-certificates", "python3", "python3-pip", "python3-venv")
_CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
# Where this machine gets packages from, if its owner has said so; kept out of the repository.
_MIRRORS = ("PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL", "NPM_CONFIG_REGISTRY")
_BASE = re.compile(r"^FROM\s+(\S+)(?:\s+AS\s+(\S+))?\s*$", re.MULTILINE | re.IGNORECASE)
_TAG = re.compile(r"^python:(?P<version>\d+\.\d+)-slim-(?P<suite>[a-z]+)$")


@dataclass(frozen=True, slots=True)
class Base:
    """An image `python:VERSION-slim-SUITE` that a Containerfile starts from."""

    name: str
    version: str
    suite: str


def bases(containerfile: Path) -> list[Base]:
    """Return the images that the file starts from. Raises LabError for one we cannot stand in."""
    stages: set[str] = set()
    found: dict[str, Base] = {}
    for image, stage in _BASE.findall(containerfile.read_text("utf-8")):
        if image not in stages:
            tag = _TAG.match(image)
            if tag is None:
                raise LabError(f"{containerfile.name} starts from {image}: no stand-in for that")
            found[image] = Base(image, tag["version"], tag["suite"])
        stages.add(stage)
    return list(found.values())


class Buildah:
    """A store of images in a folder of its own; nothing of the machine's own store is touched."""

    def __init__(self, folder: Path, *, log: Path, held_fd: int) -> None:
        self._folder = folder
        self._log = log
        self._held_fd = held_fd

    def ensure_program(self) -> None:
        """Install buildah where it is missing. Raises LabError, NotPossibleHereError."""
        if shutil.which("buildah"):
            return
        if not shutil.which("apt-get"):
            raise NotPossibleHereError("this is not a Debian machine: there is no apt-get")
        env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        install = ["apt-get", "-q", "-y", "--no-install-recommends", "install", "buildah"]
        for command in (["apt-get", "-q", "update"], install):
            run_logged(command, self._log, f"{' '.join(command)} failed", env=env, held_fd=None)

    def make_base(self, base: Base) -> None:
        """Make the stand-in of an image, from a Debian that is bootstrapped once and kept."""
        root = DebianRoot(
            self._folder / f"base-{base.suite}",
            suite=base.suite,
            packages=_STAND_IN_PACKAGES,
            held_fd=self._held_fd,
        )
        if not root.is_built():
            root.build(self._log)
        has = root.run(
            ["/usr/bin/python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        )
        if has.stdout.strip() != base.version:
            raise LabError(
                f"{base.name} has Python {base.version}, Debian {base.suite} has "
                f"{has.stdout.strip() or has.stderr.strip()}: it cannot stand in"
            )
        _furnish(root.path)
        container = self._run("from", "scratch")
        self._run("add", "-q", container, str(root.path), "/")
        settings = {"PATH": "/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin"}
        settings |= {name: os.environ[name] for name in _MIRRORS if name in os.environ}
        settings |= {"SSL_CERT_FILE": _CA_BUNDLE, "NODE_EXTRA_CA_CERTS": _CA_BUNDLE}
        words = [word for item in settings.items() for word in ("--env", "=".join(item))]
        self._run("config", *words, "--cmd", "python3", container)
        self._run("commit", "-q", "--rm", container, f"localhost/{base.name}")

    def build(self, containerfile: Path, name: str) -> None:
        """Build the image `name`; what its steps print is in the log. Raises LabError."""
        command = self._command(
            "build", "--isolation", "chroot", "--pull-never", "--layers=false",
            "--format", "docker", "-f", str(containerfile), "-t", f"localhost/{name}",
            str(containerfile.parent),
        )  # fmt: skip
        run_logged(
            command, self._log, "the image does not build", env=self._env(), held_fd=self._held_fd
        )

    def config(self, name: str) -> dict[str, Any]:
        """Return what an image says of itself: user, environment, entry point, ports."""
        text = self._run("inspect", "--type", "image", f"localhost/{name}")
        found: dict[str, Any] = json.loads(text)["Docker"]["config"]
        return found

    def unpack(self, name: str) -> Path:
        """Return the folder of the image's files, as a container would see them."""
        container = self._run("from", "--pull-never", f"localhost/{name}")
        return Path(self._run("mount", container))

    def drop_containers(self) -> None:
        """Forget every working container and the images that no name points to any more."""
        if (self._folder / "storage").exists():
            self._run("rm", "--all")
            self._run("rmi", "--prune")

    def clean(self) -> None:
        """Delete the store, the bases and the caches of downloads. Raises LabError on a mount."""
        for path in sorted(self._folder.iterdir()):
            if path.is_dir():
                remove_tree(path)

    def _run(self, *words: str) -> str:
        done = subprocess.run(
            self._command(*words),
            env=self._env(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise LabError(f"buildah {words[0]} failed: {done.stderr.strip()}")
        return done.stdout.strip()

    def _command(self, *words: str) -> Sequence[str]:
        # vfs copies where overlay would mount: slower, but it works wherever root is.
        store = ["--root", str(self._folder / "storage"), "--runroot", str(self._folder / "run")]
        return ["buildah", *store, "--storage-driver", "vfs", *words]

    def _env(self) -> dict[str, str]:
        # The caches of `RUN --mount=type=cache` lie below TMPDIR.
        temporary = self._folder / "tmp"
        temporary.mkdir(exist_ok=True)
        return {**os.environ, "TMPDIR": str(temporary)}


def _furnish(root: Path) -> None:
    """Make Debian's Python look like that of the image: its place, and a pip that may install."""
    for name in ("python", "python3"):
        link = root / "usr/local/bin" / name
        link.unlink(missing_ok=True)
        link.symlink_to("/usr/bin/python3")
    for marker in root.glob("usr/lib/python3*/EXTERNALLY-MANAGED"):
        marker.unlink()
    # A machine behind a proxy that opens TLS trusts more than Debian does.
    if Path(_CA_BUNDLE).exists():
        shutil.copy(_CA_BUNDLE, root / _CA_BUNDLE.lstrip("/"))
