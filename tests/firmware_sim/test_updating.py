"""A simulated device updates itself: it fetches, compares, says how far it is, and restarts."""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from .conftest import Broker, Simulator, Subscriber, wait_until

Simulate = Callable[..., Simulator]
Write = Callable[[str], str]
FILE = b"SLFW" + bytes(range(256)) * 800
CALM = """
[fleet]
watch = 1
[every]
vitals = 5
"""


class _Files(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        known = self.path == "/firmware/good"
        self.send_response(200 if known else 404)
        self.send_header("Content-Length", str(len(FILE) if known else 0))
        self.end_headers()
        if known:
            self.wfile.write(FILE)

    def log_message(self, *_: Any) -> None:
        """Nothing on the screen."""


@pytest.fixture
def files() -> Iterator[str]:
    """Address of a real HTTP server with one firmware."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Files)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/firmware"
    server.shutdown()
    server.server_close()


def test_a_device_installs_what_fits_and_refuses_what_does_not(
    mqtt_broker: Broker, witness: Subscriber, simulate: Simulate, scenario: Write, files: str
) -> None:
    simulate(mqtt_broker.address, "--scenario", scenario(CALM), "--devices", "1")
    statuses = "silverline/v1/W-0001/status"
    wait_until(lambda: bool(witness.topic(statuses)), "the device")
    assert witness.topic(statuses)[-1]["firmware"] == "1.4.2"
    right = hashlib.sha256(FILE).hexdigest()
    later = int(time.time() * 1000) + 60_000

    def offer(number: int, **args: Any) -> None:
        given = {"url": f"{files}/good", "sha256": right, "size": len(FILE), "version": "1.5.0"}
        witness.publish(
            "silverline/v1/W-0001/command",
            {"id": f"u{number}", "name": "update", "args": given | args, "expires": later},
        )

    def said(number: int) -> list[dict[str, Any]]:
        # What was under way when it restarted comes twice, with one number.
        found = {s["seq"]: s["update"] for s in witness.topic(statuses) if "update" in s}
        return [found[seq] for seq in sorted(found) if found[seq]["command"] == f"u{number}"]

    for number, args, word in (
        (1, {"sha256": "0" * 64}, "checksum"),
        (2, {"size": len(FILE) - 1}, "size"),
        (3, {"url": f"{files}/gone"}, "link"),
    ):
        offer(number, **args)
        wait_until(lambda n=number: said(n) and said(n)[-1]["state"] == "failed", word)
        assert said(number)[-1]["detail"] == word
    offer(4, url="file:///etc/passwd")
    acks = "silverline/v1/W-0001/ack"
    wait_until(lambda: len(witness.topic(acks)) >= 4, "the answer")
    assert [ack["ok"] for ack in witness.topic(acks)] == [True, True, True, False]
    offer(5)
    wait_until(lambda: witness.topic(statuses)[-1].get("firmware") == "1.5.0", "the new version")
    percents = [update["percent"] for update in said(5)]
    assert percents == sorted(percents)
    assert said(5)[-1]["state"] == "downloaded"
