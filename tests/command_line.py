"""`silverline …` in a process of its own, as an administrator types it."""

import os
import subprocess
import sys

from kernel.crypto import new_master_key


def silverline(*words: str, stdin: str = "", **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command with these settings and no others; return its exit code and what it said."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("SILVERLINE_")} | settings
    return subprocess.run(
        [sys.executable, "-m", "app.cli", *words],
        env=env,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


def installation(url: str) -> dict[str, str]:
    """Return the settings of an installation on this database, with nothing at its broker."""
    return {
        "SILVERLINE_DATABASE__URL": url,
        "SILVERLINE_MASTER_KEY": new_master_key(),
        "SILVERLINE_MQTT__PORT": "9",
    }
