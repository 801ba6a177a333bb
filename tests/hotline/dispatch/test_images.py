"""Photos: known by their bytes, without metadata, still showing the same picture."""

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotline.dispatch import images
from kernel.errors import Invalid


def segment(marker: int, body: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(body) + 2) + body


def exif(orientation: int, order: str = ">") -> bytes:
    mark = b"MM\x00\x2a" if order == ">" else b"II\x2a\x00"
    entry = struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0)
    gps = struct.pack(order + "HHII", 0x8825, 4, 1, 99)
    return (
        b"Exif\0\0" + mark + struct.pack(order + "IH", 8, 2) + gps + entry + b"\0" * 4
        + b"GPS 40.8570 111.6900"
    )  # fmt: skip


SCAN = b"\x11\xff\x00\x22\xff\xd0\x33"
TABLES = segment(0xDB, b"\0" * 65) + segment(0xC0, b"\x08\0\1\0\1\1\x11\0")


def jpeg(*segments: bytes, tail: bytes = b"") -> bytes:
    start = segment(0xDA, b"\1\1\0\0\x3f\0")
    return b"\xff\xd8" + b"".join(segments) + TABLES + start + SCAN + b"\xff\xd9" + tail


def test_a_jpeg_loses_place_time_and_comments_and_keeps_its_picture() -> None:
    jfif = segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0")
    photo = jpeg(
        jfif,
        segment(0xE1, exif(1)),
        segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta/>"),
        segment(0xED, b"Photoshop 3.0\0IPTC"),
        segment(0xFE, b"my phone"),
    )
    kind, clean = images.clean(photo)
    assert kind == "image/jpeg"
    assert clean == jpeg(jfif)


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("order", [">", "<"])
def test_a_portrait_stays_upright(orientation: int, order: str) -> None:
    _, clean = images.clean(jpeg(segment(0xE1, exif(orientation, order))))
    assert b"GPS" not in clean
    assert clean[2:4] == b"\xff\xe1"
    assert images._orientation(clean[12:]) == orientation


def test_what_hides_behind_the_end_of_a_jpeg_is_cut_off() -> None:
    hidden = jpeg(segment(0xE1, exif(6)))
    _, clean = images.clean(jpeg(tail=hidden))
    assert clean == jpeg()


def test_the_scans_of_a_progressive_jpeg_all_stay() -> None:
    second = segment(0xC4, b"\0" * 20) + segment(0xDA, b"\1\1\0\0\x3f\0") + b"\x44\xff\x00"
    photo = jpeg()[:-2] + segment(0xE1, exif(1)) + second + b"\xff\xd9"
    _, clean = images.clean(photo)
    assert clean == jpeg()[:-2] + second + b"\xff\xd9"


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def test_a_png_loses_text_and_exif() -> None:
    head, body, end = chunk(b"IHDR", b"\0" * 13), chunk(b"IDAT", b"x"), chunk(b"IEND", b"")
    start = b"\x89PNG\r\n\x1a\n"
    photo = start + head + chunk(b"tEXt", b"GPS") + chunk(b"eXIf", b"GPS") + body + end + b"more"
    assert images.clean(photo) == ("image/png", start + head + body + end)


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"WEBP" + b"".join(
        kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
        for kind, data in chunks
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body


def test_a_webp_loses_exif_xmp_and_the_flags_that_announce_them() -> None:
    extended, size = 0x10 | 0x08 | 0x04 | 0x20, b"\0" * 9
    photo = riff(
        (b"VP8X", bytes([extended]) + size), (b"ICCP", b"p"), (b"VP8 ", b"pic"),
        (b"EXIF", b"GPS"), (b"XMP ", b"GPS"),
    )  # fmt: skip
    expected = riff((b"VP8X", bytes([0x10]) + size), (b"VP8 ", b"pic"))
    assert images.clean(photo) == ("image/webp", expected)


@pytest.mark.parametrize(
    "not_a_photo",
    [
        b"",
        b"GIF89a" + b"\0" * 50,
        b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>",
        b"%PDF-1.7",
        b"\xff\xd8\xff",
        b"\xff\xd8\xff\xd9",
        jpeg()[:-4],
        b"\x89PNG\r\n\x1a\n" + b"\0" * 3,
        riff((b"EXIF", b"x")),
        b"\xff\xd8\xff" + b"\0" * (6 * 1024 * 1024),
    ],
)
def test_what_is_no_whole_photo_is_refused(not_a_photo: bytes) -> None:
    with pytest.raises(Invalid):
        images.clean(not_a_photo)


@given(st.sampled_from([b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", riff()[:12]]), st.binary())
def test_no_bytes_break_it(start: bytes, rest: bytes) -> None:
    try:
        kind, clean = images.clean(start + rest)
    except Invalid:
        return
    assert images.clean(clean) == (kind, clean)
