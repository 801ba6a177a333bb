"""The figures of `make bench-detection`: what counts as noticed, as late, as false."""

from datetime import UTC, datetime, timedelta

import pytest

from ingest.detection.model import Measured
from tools.bench.detection import BenchError, Illness, Past, Rung, false_alarms, score, simulate

START = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def past() -> Past:
    one = [Measured("heart_rate", 70, START), Measured("heart_rate", 70, START + 28 * DAY)]
    ill = Illness(1, "infection", START + 20 * DAY, START + 22 * DAY)
    return Past({1: one, 2: one}, [ill], START, START + 28 * DAY)


def test_the_first_alarm_of_an_illness_counts_from_its_first_sign() -> None:
    rung = Rung("a way")
    rung.at[1] = [START + 21 * DAY, START + 20 * DAY + timedelta(hours=5), START + 3 * DAY]
    found = score(past(), rung, "infection")
    assert (found.cases, found.noticed, list(found.delays)) == (1, 1, [5.0])


def test_what_rings_for_somebody_else_or_much_later_is_not_noticed_but_false() -> None:
    rung = Rung("a way")
    rung.at[2] = [START + 20 * DAY]
    rung.at[1] = [START + 25 * DAY, START + 23 * DAY, START + 2 * DAY]
    assert score(past(), rung, "infection").noticed == 0
    false, weeks = false_alarms(past(), rung)
    # One of hers long after, one of the other; the aftermath and the learning do not count.
    assert false == 2
    assert weeks == pytest.approx(2 * 2 - 4 / 7, abs=0.02)


def test_the_simulator_says_who_fell_ill_and_when_the_readings_change() -> None:
    found = simulate(people=4, days=22, seed=3)
    assert set(found.readings) == {1, 2, 3, 4}
    lungs = next(each for each in found.illnesses if each.what == "lungs")
    oxygen = [each for each in found.readings[lungs.person] if each.metric == "spo2"]
    before = [each.value for each in oxygen if each.at < lungs.since]
    during = [each.value for each in oxygen if each.at > lungs.since + timedelta(hours=6)]
    assert min(before) >= 95
    assert sum(during[:100]) / 100 < sum(before) / len(before) - 4


def test_a_scenario_that_cannot_be_simulated_is_said_in_the_simulators_words() -> None:
    with pytest.raises(BenchError, match="--devices"):
        simulate(people=0, days=1, seed=1)
