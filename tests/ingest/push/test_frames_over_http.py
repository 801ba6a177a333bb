"""The real frames of the contract, pushed: they say the same as over MQTT and SIP."""

import pytest

from devices.codecs import CODECS
from tests.contract.codec_frames import samples
from tests.ingest.home import Home
from tests.ingest.push.platforms import Platforms


@pytest.mark.parametrize("codec", ["chirpstack", "tts", "owntracks", "scaip", "gatt"])
async def test_real_frames_say_the_same_over_http(
    codec: str, home: Home, platforms: Platforms
) -> None:
    platform = await platforms.add(codec)
    profiles = {
        "owntracks": "owntracks-phone", "scaip": "scaip-controller", "gatt": "gatt-blood-pressure",
    }  # fmt: skip
    profile = profiles.get(codec, "ls-vs373")
    known: set[str] = set()
    rejects: list[str] = []
    count = 0
    for sample in samples():
        if sample.codec != codec or "error" in sample.entry:
            continue
        decoded = CODECS[codec].decode(sample.frame)
        for message in decoded.messages:
            if message.device not in known:
                known.add(message.device)
                await home.device(f"D-{len(known):04}", profile, alias=(codec, message.device))
        payload = sample.frame.payload
        if codec == "chirpstack" and b"deviceInfo" not in payload:
            continue
        if codec == "gatt" and not sample.frame.topic.startswith("gatt/"):
            continue
        answer = await platform.push(payload, query=query_of(codec, sample.frame.topic))
        assert answer.status_code == 200, (sample, answer.text)
        count += len(decoded.messages)
        rejects += [each.reason for each in decoded.rejects]
    assert count >= 4
    assert await home.count("ingest_message") == count
    assert sorted(letter[0] for letter in await home.letters()) == sorted(rejects)


def query_of(codec: str, topic: str) -> dict[str, str]:
    """What stands in the address where MQTT has a topic."""
    levels = topic.split("/")
    if codec == "chirpstack":
        return {"event": levels[-1]}
    if codec == "owntracks":
        return {"u": levels[1], "d": levels[2]}
    if codec == "gatt" and levels[-1] == "status":
        return {"gateway": levels[1], "status": "1"}
    if codec == "gatt":
        return dict(zip(("gateway", "mac", "characteristic"), levels[1:], strict=False))
    return {}
