"""Where no network can be cut and no disk filled, that is said, and is a failure in CI."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.isolation import HAND_OVER

WITHOUT_RIGHTS = ["/usr/bin/setpriv", "--bounding-set=-all", "--inh-caps=-all"]


@pytest.mark.parametrize(("ci", "outcome"), [("true", "1 failed"), ("", "1 skipped")])
def test_what_cannot_be_isolated_is_told(
    project: Path, tmp_path: Path, ci: str, outcome: str
) -> None:
    """Root without its capabilities, and nobody, on a system without unshare(1)."""
    others = {name: value for name, value in os.environ.items() if name != HAND_OVER}
    asked = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "tables"]
    done = subprocess.run(
        [*(WITHOUT_RIGHTS if os.geteuid() == 0 else []), *asked, "tests/faults/test_disk_full.py"],
        env=others | {"CI": ci, "PATH": str(tmp_path)},
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome in done.stdout
    assert "unshare (package util-linux) is missing: no network can be cut" in done.stdout
