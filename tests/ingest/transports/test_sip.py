"""Reading SIP: whatever comes, a request or a refusal; nothing slips into a response."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.transports.sip import SipError, answer_place, read_datagram, response
from tests.ingest.transports.controller import Request, take_apart

SOURCE = ("192.0.2.7", 40_000)
WRITTEN = Request(b"<mrq/>", 5060).written()
PIECES = st.sampled_from(
    [b"\r\n", b"\r", b"\n", b"\0", b":", b",", b";", b"Via: ", b"To: ", b"tag=x", b"rport",
     b"SIP/2.0",
     b"Content-Length: 99999", b"[::1]", b"\xff", b" ", b"\t", b"CSeq: 1 MESSAGE"]
)  # fmt: skip


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=300))
def test_noise_is_refused(data: bytes) -> None:
    with pytest.raises(SipError):
        read_datagram(data)


@settings(max_examples=1500, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, len(WRITTEN)), st.integers(0, 12), PIECES | st.binary(max_size=4)),
        min_size=1, max_size=4,
    )
)  # fmt: skip
def test_a_mutated_request_is_refused_or_answered_in_its_own_lines(
    changes: list[tuple[int, int, bytes]],
) -> None:
    data = WRITTEN
    for place, length, piece in changes:
        data = data[:place] + piece + data[place + length :]
    try:
        head, body = read_datagram(data)
    except SipError:
        return
    assert len(body) <= len(data)
    answer = take_apart(response(head, 200, SOURCE, body=b"<mrs/>"))
    names = [name for name, _ in answer.headers]
    assert len(names) == len(head.vias) + 5
    assert [names.count(name) for name in ("from", "to", "call-id", "cseq")] == [1, 1, 1, 1]
    host, port = answer_place(head, SOURCE)
    assert host == SOURCE[0]
    assert 0 < port <= 65_535


def via(text: str) -> bytes:
    return b"\r\n".join(
        b"Via: " + text.encode() if line.startswith(b"Via:") else line
        for line in WRITTEN.split(b"\r\n")
    )


@pytest.mark.parametrize(
    ("text", "port"),
    [
        ("SIP/2.0/UDP 192.0.2.7:5080;branch=z", 5080),
        ("SIP/2.0/UDP 192.0.2.7;branch=z", 5060),
        ("SIP/2.0/UDP 192.0.2.7:5080;branch=z;rport", 40_000),
        ("SIP / 2.0 / UDP 192.0.2.7 : 5080 ; rport ; branch=z", 40_000),
        ("SIP/2.0/UDP 10.0.0.9:5080;branch=z", 40_000),
        ("SIP/2.0/UDP phone.example.org:5080;branch=z", 40_000),
        ("SIP/2.0/UDP 192.0.2.7:99999;branch=z", 40_000),
    ],
)
def test_where_an_answer_goes(text: str, port: int) -> None:
    head, _ = read_datagram(via(text))
    assert answer_place(head, SOURCE) == (SOURCE[0], port)


@pytest.mark.parametrize(
    "text", ["UDP host", "SIP/2.0/UDP", "SIP/3.0/UDP host", "", "SIP/2.0/UDP a b"]
)
def test_a_via_that_is_none(text: str) -> None:
    with pytest.raises(SipError):
        read_datagram(via(text))
