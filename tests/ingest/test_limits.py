"""Buckets: a burst at once, then as much as flows in; senders do not share."""

from ingest.limits import Buckets


def allowed(buckets: Buckets, sender: str, at: float) -> bool:
    if buckets.wait(sender, at):
        return False
    buckets.take(sender, at)
    return True


def test_a_burst_then_a_rate() -> None:
    buckets = Buckets(rate=2, burst=5)
    assert [allowed(buckets, "a", 100.0) for _ in range(7)] == [True] * 5 + [False] * 2
    assert 0 < buckets.wait("a", 100.0) <= 0.5
    assert allowed(buckets, "a", 100.6)
    assert not allowed(buckets, "a", 100.6)
    assert allowed(buckets, "b", 100.6)
    assert sum(allowed(buckets, "a", 200.0) for _ in range(10)) == 5


def test_a_clock_that_stands_still_is_no_fault() -> None:
    buckets = Buckets(rate=1, burst=1)
    buckets.take("a", 10.0)
    buckets.take("a", 9.0)
    assert buckets.wait("a", 9.0) > 0


def test_memory_is_bounded() -> None:
    buckets = Buckets(rate=0.001, burst=1, size=3)
    for sender in "abcd":
        buckets.take(sender, 1.0)
    assert buckets.wait("a", 1.0) == 0
    assert buckets.wait("d", 1.0) > 0


def test_a_request_may_cost_more_and_be_given_back() -> None:
    buckets = Buckets(rate=1, burst=10)
    buckets.take("a", 1.0, cost=8)
    assert buckets.wait("a", 1.0, cost=5) == 3
    buckets.give_back("a", 8)
    assert buckets.wait("a", 1.0, cost=10) == 0
    buckets.give_back("a", 8)
    buckets.take("a", 1.0, cost=10)
    assert buckets.wait("a", 1.0) == 1


def test_what_costs_more_than_the_burst_needs_a_full_bucket() -> None:
    buckets = Buckets(rate=1, burst=10)
    assert buckets.wait("a", 1.0, cost=64) == 0
    buckets.take("a", 1.0, cost=64)
    assert buckets.wait("a", 1.0, cost=64) == 10
