"""A port of devices that another program has: a sentence, and not a page of Python."""

import json
import socket

import pytest

from app.settings import WatchSection
from tests.command_line import installation, silverline


@pytest.mark.parametrize("what", ["scaip", "iw_trv"])
def test_ingest_names_the_port_and_the_setting(db_url: str, what: str) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        setting = "SILVERLINE_SCAIP__PORT" if what == "scaip" else "SILVERLINE_WATCH__PORTS"
        value = str(port) if what == "scaip" else json.dumps({"setracker": 0, "iw_trv": port})
        watch = {"SILVERLINE_WATCH__PORTS": json.dumps(dict.fromkeys(WatchSection().ports, 0))}
        settings = installation(db_url) | watch | {setting: value, "SILVERLINE_HEALTH__PORT": "0"}
        done = silverline("ingest", **settings)
    assert done.returncode == 2
    said = " ".join(done.stderr.split())
    assert f"silverline: {what} cannot listen on 127.0.0.1:{port}: Address already in use." in said
    assert f"{setting} names another port." in said
    assert "Traceback" not in done.stderr
