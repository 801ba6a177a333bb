"""Social alarm controllers over SIP: answered after the commit, once, whatever the network does."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from ingest.run import IngestSettings
from kernel.db import Database
from tests.contract.codec_frames import samples
from tests.ingest.broker import Mosquitto
from tests.ingest.home import Home, Witness, until
from tests.ingest.running import Running, running
from tests.ingest.transports.controller import (
    Request,
    TcpController,
    UdpController,
    take_apart,
    tcp_controller,
    udp_controller,
)

ALARM = (
    b"<mrq><ref>yhexGeV5E49zglfi</ref><cid>999998</cid><dty>0004</dty><mty>ME</mty>"
    b"<stc>0010</stc><lco>002</lco><crd>gsm:</crd><cha>0</cha></mrq>"
)
BEAT = b"<mrq><mty>PI</mty><ref>1998218577</ref><cid>999998</cid><dty>2</dty></mrq>"
BOMB = b'<!DOCTYPE m [<!ENTITY a "&b;&b;"><!ENTITY b "x">]><mrq><cid>&a;</cid></mrq>'


@pytest.fixture
async def process(db: Database, witness: Witness, mosquitto: Mosquitto) -> AsyncIterator[Running]:
    settings = IngestSettings(mqtt_port=mosquitto.port, tcp_port=-1, scaip_port=0)
    async with running(settings, db, witness) as one:
        yield one


@pytest.fixture
async def udp(process: Running) -> AsyncIterator[UdpController]:
    controller = await udp_controller(process.runner.scaip.port)
    yield controller
    controller.transport.close()


@pytest.fixture
async def tcp(process: Running) -> AsyncIterator[TcpController]:
    controller = await tcp_controller(process.runner.scaip.port)
    yield controller
    controller.writer.close()


@pytest.fixture
async def registered(home: Home) -> int:
    elder = await home.elder()
    return await home.device("S-0001", "scaip-controller", elder=elder, alias=("scaip", "999998"))


async def test_an_alarm_rings_and_is_answered(
    home: Home, udp: UdpController, witness: Witness, registered: int
) -> None:
    request = Request(ALARM, udp.port)
    answer = await udp.ask(request)
    assert (answer.status, answer.body) == (
        200, b"<mrs><ref>yhexGeV5E49zglfi</ref><snu>0</snu></mrs>",
    )  # fmt: skip
    assert answer.get("content-type") == "application/scaip+xml"
    assert answer.get("call-id") == request.call_id
    assert answer.get("cseq") == "1 MESSAGE"
    assert f"branch={request.branch}" in answer.get("via")
    assert f"rport={udp.port};received=127.0.0.1" in answer.get("via")
    assert ";tag=" in answer.get("to")
    assert answer.get("from").startswith('"Grandma" <sip:999998@127.0.0.1>;tag=')
    assert witness.kinds == ["sos"]
    assert await home.alarms() == [("sos", "critical", "device")]


async def test_real_requests_are_taken_over_both(
    home: Home, udp: UdpController, tcp: TcpController
) -> None:
    frames = [s for s in samples() if s.codec == "scaip" and "error" not in s.entry]
    devices = {message["device"] for sample in frames for message in sample.entry["messages"]}
    for number, address in enumerate(sorted(devices)):
        await home.device(f"S-{number:04}", "scaip-controller", alias=("scaip", address))
    for number, sample in enumerate(frames):
        controller = (udp, tcp)[number % 2]
        name = ("UDP", "TCP")[number % 2]
        answer = await controller.ask(Request(sample.frame.payload, controller.port, name))
        assert (answer.status, answer.body.decode()) == (200, sample.entry["replies"][0])
    assert await home.count("ingest_message") == len(frames)


async def test_retransmissions_get_the_same_answer_and_ring_once(
    home: Home, udp: UdpController, registered: int
) -> None:
    request = Request(ALARM, udp.port)
    first = await udp.ask(request)
    for _ in range(3):
        again = await udp.ask(request)
        assert again == first
    # Sent again by the controller itself, as a new transaction: its answer was lost.
    other = await udp.ask(Request(ALARM, udp.port))
    assert other.status == 200
    assert await home.count("alarm") == 1
    assert await home.count("ingest_message") == 1
    # Another press has another reference.
    await udp.ask(Request(ALARM.replace(b"yhex", b"zhex"), udp.port))
    assert await home.count("alarm") == 2


async def test_a_retransmission_while_the_first_is_under_way_is_not_a_second_alarm(
    home: Home, udp: UdpController, registered: int
) -> None:
    request = Request(ALARM, udp.port)
    async with home.db.dedicated() as blocker:
        await blocker.execute("BEGIN")
        await blocker.execute("LOCK TABLE ingest_message, alarm IN EXCLUSIVE MODE")
        for _ in range(4):
            udp.send(request.written())
        with pytest.raises(TimeoutError):
            await udp.answer(0.6)
        await blocker.execute("ROLLBACK")
    assert (await udp.answer()).status == 200
    assert await home.count("alarm") == 1
    with pytest.raises(TimeoutError):
        await udp.answer(0.3)


async def test_after_a_restart_the_controllers_repetition_is_recognised(
    db: Database, home: Home, witness: Witness, mosquitto: Mosquitto, registered: int
) -> None:
    settings = IngestSettings(mqtt_port=mosquitto.port, tcp_port=-1, scaip_port=0)
    for _ in range(2):
        async with running(settings, db, witness) as process:
            controller = await udp_controller(process.runner.scaip.port)
            assert (await controller.ask(Request(ALARM, controller.port))).status == 200
            controller.transport.close()
    assert await home.count("alarm") == 1


async def test_without_rport_the_answer_goes_to_the_port_that_the_via_names(
    udp: UdpController, process: Running, registered: int
) -> None:
    other = await udp_controller(process.runner.scaip.port)
    udp.send(Request(BEAT, other.port, rport=False).written())
    assert (await other.answer()).status == 200
    other.transport.close()


async def test_an_unknown_controller_is_not_told_that_it_was_heard(
    home: Home, udp: UdpController
) -> None:
    answer = await udp.ask(Request(ALARM, udp.port))
    assert (answer.status, answer.get("content-type")) == (404, "application/scaip+xml")
    assert answer.body == b"<mrs><ref>yhexGeV5E49zglfi</ref><snu>5</snu></mrs>"
    assert await home.letters() == [("unknown_device", "999998", 1)]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"hello", b""), (BOMB, b""), (b"", b""), (b"\xff\x00<", b""), (b"<other/>", b""),
        (b"<mrq><ref>1</ref></mrq>", b"<mrs><ref>1</ref><snu>7</snu></mrs>"),
        (b"<mrq><ref>&lt;a</ref><cid> </cid></mrq>", b"<mrs><ref>&lt;a</ref><snu>7</snu></mrs>"),
    ],
)  # fmt: skip
async def test_what_cannot_be_decoded_is_refused_and_kept(
    body: bytes, said: bytes, home: Home, udp: UdpController, tcp: TcpController
) -> None:
    for answer in (
        await udp.ask(Request(body, udp.port)), await tcp.ask(Request(body, tcp.port, "TCP"))
    ):  # fmt: skip
        assert (answer.status, answer.body) == (400, said)
        assert answer.get("content-type") == ("application/scaip+xml" if said else "")
    [(_, _, count)] = await home.letters()
    assert count == 2
    assert await home.rows("SELECT transport, codec FROM dead_letter") == [("sip", "scaip")]


async def test_other_requests_are_answered_as_the_standard_wants(udp: UdpController) -> None:
    port = udp.port
    options = await udp.ask(Request(b"", port, method="OPTIONS", kind=""))
    assert (options.status, options.get("allow")) == (200, "MESSAGE, OPTIONS")
    invite = await udp.ask(Request(b"", port, method="INVITE", kind="application/sdp"))
    assert (invite.status, invite.get("allow")) == (405, "MESSAGE, OPTIONS")
    text = await udp.ask(Request(b"hi", port, kind="text/plain"))
    assert (text.status, text.get("accept")) == (415, "application/scaip+xml")
    zipped = await udp.ask(Request(b"x", port, extra=("Content-Encoding: gzip",)))
    assert zipped.status == 415
    strange = await udp.ask(Request(ALARM, port, extra=("Require: 100rel",)))
    assert (strange.status, strange.get("unsupported")) == (420, "100rel")


async def test_every_via_comes_back_and_short_names_are_read(
    udp: UdpController, registered: int
) -> None:
    written = Request(BEAT, udp.port).written()
    head, _, body = written.partition(b"\r\n\r\n")
    head = head.replace(b"Via:", b"v:").replace(b"Call-ID:", b"i:").replace(b"From:", b"f:")
    head = head.replace(b"To:", b"t:").replace(b"Content-Type:", b"c:")
    head = head.replace(b"Content-Length:", b"l:")
    head += b"\r\nVia: SIP/2.0/UDP proxy.example.org;branch=z9hG4bKb,\r\n SIP/2.0/UDP a.example.org"
    udp.send(b"\r\n" + head + b"\r\n\r\n" + body + b"what does not belong to it")
    answer = await udp.answer()
    assert answer.status == 200
    assert answer.all("via")[1] == (
        "SIP/2.0/UDP proxy.example.org;branch=z9hG4bKb, SIP/2.0/UDP a.example.org"
    )


async def test_several_requests_and_keep_alives_share_a_connection(
    home: Home, tcp: TcpController, registered: int
) -> None:
    tcp.writer.write(b"\r\n\r\n")
    async with asyncio.timeout(30):
        assert await tcp.reader.readexactly(2) == b"\r\n"
    requests = [
        Request(BEAT.replace(b"1998", b"%04d" % n), tcp.port, "TCP").written() for n in range(5)
    ]
    stream = b"".join(requests)
    for begin in range(0, len(stream), 97):
        tcp.writer.write(stream[begin : begin + 97])
        await tcp.writer.drain()
    for number in range(5):
        answer = await tcp.answer()
        assert (answer.status, b"%04d218577" % number in answer.body) == (200, True)
    assert await home.count("ingest_message") == 5


@pytest.mark.parametrize(
    "written",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"x" * 50_000,
        b"\r\n" * 3 + b"\xff" * 100 + b"\r\n\r\n",
        Request(ALARM, 5060, "TCP", extra=("Evil: a\rb",)).written(),
        Request(ALARM, 5060, "TCP", length=None).written(),
        Request(ALARM, 5060, "TCP", length=9_000).written(),
        Request(ALARM, 5060, "TCP", extra=("Content-Length: 3",)).written(),
        Request(ALARM, 5060, "TCP", extra=("CSeq: 2 MESSAGE",)).written(),
    ],
)
async def test_a_stream_that_is_no_sip_ends(
    written: bytes, home: Home, tcp: TcpController, registered: int
) -> None:
    tcp.writer.write(written)
    async with asyncio.timeout(30):
        said = b""
        with contextlib.suppress(ConnectionResetError):
            said = await tcp.reader.read()
    if said := said.lstrip(b"\r\n"):
        assert take_apart(said).status in (400, 413)
    assert await home.count("alarm") == 0


async def test_noise_over_udp_is_not_answered(udp: UdpController, registered: int) -> None:
    for noise in (
        b"", b"\r\n\r\n", b"x" * 20_000, b"\x00" * 100, b"SIP/2.0 200 OK\r\n\r\n",
        Request(ALARM, 5060, length=len(ALARM) + 1).written(),
        Request(ALARM, 5060).written().replace(b"Via:", b"Vla:"),
        Request(ALARM, 5060).written().replace(b"CSeq: 1 MESSAGE", b"CSeq: 1 INVITE"),
    ):  # fmt: skip
        udp.send(noise)
    assert (await udp.ask(Request(BEAT, udp.port))).status == 200
    assert udp.answers.empty()


async def test_a_message_that_is_too_long_is_told_so(udp: UdpController, registered: int) -> None:
    long = ALARM.replace(b"<cha>", b"<ite>" + b"x" * 8192 + b"</ite><cha>")
    answer = await udp.ask(Request(long, udp.port))
    assert answer.status == 413
    assert answer.body == b"<mrs><ref>yhexGeV5E49zglfi</ref><snu>1</snu></mrs>"


async def test_a_flood_of_nonsense_is_kept_in_part_and_harms_no_controller(
    home: Home, udp: UdpController, process: Running, registered: int
) -> None:
    for number in range(60):
        body = b"<mrq><ref>1</ref><cid>%d</cid></mrq>" % number
        assert (await udp.ask(Request(body, udp.port))).status == 404
    assert await home.count("dead_letter") == 20
    assert (await udp.ask(Request(ALARM, udp.port))).status == 200
    assert await home.count("alarm") == 1


async def test_it_is_off_by_default(db: Database, witness: Witness, mosquitto: Mosquitto) -> None:
    async with running(IngestSettings(mqtt_port=mosquitto.port, tcp_port=-1), db, witness) as one:
        assert one.runner.scaip.port == 0


async def test_a_full_lane_says_when_to_come_again(
    home: Home, db: Database, witness: Witness, mosquitto: Mosquitto, registered: int
) -> None:
    settings = IngestSettings(mqtt_port=mosquitto.port, tcp_port=-1, scaip_port=0, queue_frames=2)
    async with running(settings, db, witness) as process:
        controller = await udp_controller(process.runner.scaip.port)
        async with home.db.dedicated() as blocker:
            await blocker.execute("BEGIN")
            await blocker.execute("LOCK TABLE ingest_message IN EXCLUSIVE MODE")
            for number in range(2):
                body = BEAT.replace(b"1998", b"%04d" % number)
                controller.send(Request(body, controller.port).written())
            await until(lambda: _is_full(process))
            refused = await controller.ask(Request(ALARM, controller.port))
            assert (refused.status, refused.get("retry-after")) == (503, "5")
            assert refused.body.endswith(b"<snu>6</snu></mrs>")
            await blocker.execute("ROLLBACK")
        for _ in range(2):
            assert (await controller.answer()).status == 200
        controller.transport.close()


async def _is_full(process: Running) -> bool:
    return process.runner.lanes["sip"].full
