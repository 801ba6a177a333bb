"""The pure parts of the demonstration: its fleet and its books."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.demo.fleet import MIX, plan_fleet
from app.demo.tally import latency
from devices.profiles import PROFILES


@given(st.integers(min_value=10, max_value=3000))
def test_a_fleet_has_as_many_devices_as_asked_and_no_home_has_two_of_a_kind(devices: int) -> None:
    fleet = plan_fleet(devices)
    assert len(fleet) == devices
    assert len({device.device_id for device in fleet}) == devices
    assert len({(device.type, device.home) for device in fleet}) == devices
    assert {device.home for device in fleet} <= set(range(max(d.home for d in fleet) + 1))


def test_every_kind_is_there_and_has_a_profile() -> None:
    fleet = plan_fleet(40)
    assert {device.type for device in fleet} == {kind for kind, _, _, _ in MIX}
    assert all(device.profile in PROFILES for device in fleet)


def test_latency_is_by_nearest_rank() -> None:
    found = latency([float(i) for i in range(1, 101)])
    assert (found.p50, found.p95, found.p99, found.max) == (50, 95, 99, 100)


@pytest.mark.parametrize("values", [[], [3.25]])
def test_latency_of_few(values: list[float]) -> None:
    found = latency(values)
    assert found.max == (round(values[0], 1) if values else None)
