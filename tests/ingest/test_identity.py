"""Identities: copies are recognised, and nothing else is taken for a copy."""

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from devices.messages import Message
from ingest.identity import REDELIVERY_WINDOW, Arrival, identify

NOW = datetime(2026, 3, 5, 14, 3, tzinfo=UTC)
times = st.integers(0, 10**14).map(lambda n: NOW - timedelta(microseconds=n))
packet_ids = st.integers(1, 65_535)
contents = st.binary(max_size=40)
numbers = st.integers(0, 2**63 - 1)
sessions = st.none() | st.text("abcdef0123456789", max_size=16)


@given(numbers, sessions, times, times, packet_ids, contents, contents)
def test_a_numbered_message_is_the_same_however_it_arrives(
    seq: int, session: str | None, at: datetime, received: datetime, packet_id: int, one: bytes,
    other: bytes,
) -> None:  # fmt: skip
    message = Message("W-1", "vitals", seq=seq, session=session, at=at)
    first = identify(7, message, one, Arrival(received, packet_id))
    again = identify(7, message, other, Arrival(received + timedelta(hours=1), 3, True))
    assert first == again
    assert first.copies is None


@given(numbers, numbers, sessions, sessions, times, times)
def test_messages_that_differ_in_number_session_or_time_are_two(
    seq: int, other_seq: int, session: str | None, other_session: str | None, at: datetime,
    other_at: datetime,
) -> None:  # fmt: skip
    one = Message("W-1", "vitals", seq=seq, session=session, at=at)
    other = Message("W-1", "vitals", seq=other_seq, session=other_session, at=other_at)
    same = (seq, session, at) == (other_seq, other_session, other_at)
    arrival = Arrival(NOW)
    assert (identify(7, one, b"", arrival) == identify(7, other, b"", arrival)) is same


def test_an_alarm_is_not_taken_for_the_vitals_with_its_number() -> None:
    vitals = Message("W-1", "vitals", seq=0, at=NOW)
    alarm = replace(vitals, kind="alarm")
    arrival = Arrival(NOW)
    assert identify(7, vitals, b"", arrival) != identify(7, alarm, b"", arrival)


@given(times, contents, contents, times)
def test_a_message_with_a_time_is_its_time_and_content(
    at: datetime, one: bytes, other: bytes, received: datetime
) -> None:
    message = Message("W-1", "location", at=at)
    first = identify(7, message, one, Arrival(received, 1))
    assert identify(7, message, one, Arrival(NOW, 2, True)) == first
    assert (identify(7, message, other, Arrival(NOW)).key == first.key) is (one == other)
    assert identify(8, message, one, Arrival(NOW)).key != first.key


@given(contents, times, st.timedeltas(timedelta(0), timedelta(hours=1)), packet_ids, packet_ids)
def test_a_press_is_a_copy_only_when_the_broker_sends_it_again(
    content: bytes, received: datetime, after: timedelta, packet_id: int, other_id: int
) -> None:
    press = Message("B-1", "vitals")
    first = identify(7, press, content, Arrival(received, packet_id)).key
    fresh = identify(7, press, content, Arrival(received + after, other_id))
    assert fresh.copies is None
    again = identify(7, press, content, Arrival(received + after, other_id, True)).copies
    assert again is not None
    # Milliseconds count: a window that ends within one is not cut finer.
    within = after <= REDELIVERY_WINDOW + timedelta(milliseconds=1)
    if other_id == packet_id and after <= REDELIVERY_WINDOW:
        assert again.matches(first)
    if other_id != packet_id or not within:
        assert not again.matches(first)


@given(st.lists(st.integers(0, 50), min_size=2, max_size=60), contents)
def test_presses_without_a_packet_identifier_are_all_different(
    moments: list[int], content: bytes
) -> None:
    press = Message("B-1", "vitals")
    keys: set[uuid.UUID] = set()
    for moment in moments:
        arrival = Arrival(NOW + timedelta(milliseconds=moment))
        keys.add(identify(7, press, content, arrival).key)
    assert len(keys) == len(moments)


@given(contents, contents, packet_ids)
def test_another_content_is_never_a_copy(one: bytes, other: bytes, packet_id: int) -> None:
    press = Message("B-1", "vitals")
    first = identify(7, press, one, Arrival(NOW, packet_id)).key
    copies = identify(7, press, other, Arrival(NOW, packet_id, True)).copies
    assert copies is not None
    assert copies.matches(first) is (one == other)


@given(contents, packet_ids)
def test_a_replayed_letter_has_the_same_identity_every_time(content: bytes, number: int) -> None:
    arrival = Arrival(NOW, number, True)
    press = Message("B-1", "vitals")
    assert identify(7, press, content, arrival) == identify(7, press, content, arrival)
