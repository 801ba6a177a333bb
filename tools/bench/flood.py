"""Vitals at a steady rate, from a process of its own, until it is killed.

    python -m tools.bench.flood MQTT_PORT DEVICES MESSAGES_A_SECOND [BATCH]

Every 20 ms those that are due leave together; what the broker did not take in time is sent late
and not left out. With BATCH they come in frames of gateways, so many messages in each. The first
line of its output says that it has begun.
"""

import itertools
import sys
import time

from kernel.clock import utcnow
from tools.bench.broker import Publisher
from tools.bench.world import Load, messages

_BEAT = 0.02


def main() -> None:
    """Send for ever."""
    port, devices, rate = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    batch = int(sys.argv[4]) if len(sys.argv) > 4 else 1
    publisher = Publisher(port, "flood")
    print("begun", flush=True)
    began, sent = time.perf_counter(), 0
    session, round_of_all = f"{time.time_ns() % 10**9:x}", Load(devices, 1, batch)
    rounds = (
        message
        for number in itertools.count()
        for message in messages(round_of_all, f"{session}{number:x}", utcnow())
    )
    while True:
        due = int((time.perf_counter() - began) * rate / batch)
        sent += publisher.publish(itertools.islice(rounds, due - sent), wait=False)
        time.sleep(_BEAT)


if __name__ == "__main__":
    main()
