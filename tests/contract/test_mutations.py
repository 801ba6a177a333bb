"""Thousands of damaged frames of every codec: a decoded result or a CodecError, nothing else.

`make test` takes a thousand of each codec, `make soak` ten thousand, with the memory and the
processor time of each. The seed makes a failure repeatable: the message names it and the frame.
"""

import time
import tracemalloc
from collections.abc import Callable

import pytest

from devices.codecs import CODECS
from devices.messages import CodecError, Frame
from tests.contract.codec_frames import samples
from tests.contract.mutations import Mutator, check

BOOKS = "books"
"""Lines of this property are shown at the end of the session (tests/faults/conftest.py)."""
SEED = 20_261_122
SHORT, LONG = 1_000, 10_000
MAX_MEMORY = 32 * 1024 * 1024
"""Most memory that one frame may need, in bytes: a batch of 64 KiB becomes some megabytes."""
MAX_SECONDS = 2.0
"""Most processor time of one frame: a thousand times the usual."""

FRAMES = samples()
OTHERS = [sample.frame.payload for sample in FRAMES]


def mutator(name: str, seed: int) -> Mutator:
    own = [sample.frame for sample in FRAMES if sample.codec == name]
    return Mutator(own, OTHERS, seed)


def survive(name: str, frame: Frame) -> str:
    """Check one frame; a failure names it whole, to be put into the frame file."""
    try:
        return check(CODECS[name], frame)
    except Exception as error:
        said = f"{name}: {type(error).__name__}: {error}"
        raise AssertionError(f"{said}\ntopic={frame.topic!r} hex={frame.payload.hex()}") from error


@pytest.mark.parametrize("name", CODECS)
def test_damaged_frames_are_decoded_or_refused(name: str) -> None:
    refused = [bool(survive(name, frame)) for frame in mutator(name, SEED).frames(SHORT)]
    # Damage that is always refused at the door would test nothing behind it.
    assert 0 < sum(refused) < len(refused)


def test_the_same_seed_makes_the_same_damage() -> None:
    first, second = (list(mutator("jt808", 7).frames(50)) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("name", [c.name for c in CODECS.values() if c.split is not None])
def test_a_damaged_stream_is_cut_or_given_up(name: str) -> None:
    split = CODECS[name].split
    assert split is not None
    rest, cut = b"", 0
    for frame in mutator(name, SEED + 1).frames(SHORT // 4):
        try:
            frames, rest = split(rest + frame.payload)
        except CodecError:  # given up: the connection is closed
            rest = b""
            continue
        cut += len(frames)
        for each in frames:
            survive(name, Frame(each))
    assert cut


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", CODECS)
def test_ten_thousand_damaged_frames(
    name: str, record_property: Callable[[str, object], None]
) -> None:
    slowest, largest, refused = 0.0, 0, 0
    crashes: list[AssertionError] = []
    for number, frame in enumerate(mutator(name, SEED).frames(LONG)):
        traced = number % 20 == 0 or len(frame.payload) > 16_384
        if traced:
            tracemalloc.start()
        before = time.process_time()
        try:
            refused += bool(survive(name, frame))
        except AssertionError as error:
            crashes.append(error)
        spent = time.process_time() - before
        if traced:
            largest = max(largest, tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        else:
            slowest = max(slowest, spent)
    line = (
        f"{name:14} sent {LONG} decoded {LONG - refused - len(crashes)} refused {refused}"
        f" crashed {len(crashes)} slowest {slowest * 1000:.1f} ms largest {largest / 1024:.0f} KiB"
    )
    print(line)  # noqa: T201 - the soak's figures
    record_property(BOOKS, line)
    if crashes:
        raise crashes[0]
    assert slowest < MAX_SECONDS
    assert largest < MAX_MEMORY
