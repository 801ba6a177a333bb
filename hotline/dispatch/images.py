"""Photos from a phone: known by their bytes, not by their name, and freed of their metadata.

A phone writes place, time and its own serial number into a picture (EXIF, XMP, IPTC). None of that
is ours to keep. The picture itself is not decoded: segments are copied or left out. Of the EXIF
only the orientation stays, because without it most portraits would lie on their side.
"""

import re
import struct
from collections.abc import Iterator

from kernel.errors import Invalid

MAX_BYTES = 6 * 1024 * 1024
_PNG = b"\x89PNG\r\n\x1a\n"
# PNG (ISO/IEC 15948): chunks that are needed to show the picture. All others are text, time, EXIF.
_PNG_KEPT = frozenset(
    {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"sBIT", b"bKGD"}
)
# WebP (RFC 9649): EXIF and XMP are chunks of their own, announced by two flags in VP8X.
_WEBP_KEPT = frozenset({b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF"})
_WEBP_METADATA_FLAGS = 0x08 | 0x04
_ORIENTATION_TAG = 0x0112
# In coded data 0xFF is followed by 0 or a restart marker; anything else ends it.
_AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


def clean(image: bytes) -> tuple[str, bytes]:
    """Return the content type and the picture without metadata.

    Raises Invalid for more than 6 MiB, for anything but JPEG, PNG and WebP, and for a broken file.
    """
    if len(image) > MAX_BYTES:
        raise Invalid("the photo is too large", {"photo": "at most 6 MB"})
    try:
        if image.startswith(b"\xff\xd8\xff"):
            return "image/jpeg", _clean_jpeg(image)
        if image.startswith(_PNG):
            return "image/png", _clean_png(image)
        if image[:4] == b"RIFF" and image[8:12] == b"WEBP":
            return "image/webp", _clean_webp(image)
    except (struct.error, IndexError, ValueError) as error:
        raise Invalid("the photo is damaged", {"photo": "cannot be read"}) from error
    raise Invalid("this is no photo", {"photo": "JPEG, PNG or WebP"})


def _clean_jpeg(image: bytes) -> bytes:
    """Copy tables, frame and scans (ISO/IEC 10918-1 annex B) up to the first end of image.

    Of APPn only JFIF (0) and Adobe's colour transform (14) stay. Behind the end phones hide further
    pictures with metadata of their own.
    """
    out: list[bytes] = []
    orientation, scans, position = 1, 0, 2
    while True:
        if image[position] != 0xFF:
            raise ValueError("a marker is missing")
        marker = image[position + 1]
        if marker == 0xFF:
            position += 1
            continue
        if marker == 0xD9:
            break
        (size,) = struct.unpack_from(">H", image, position + 2)
        segment = image[position : position + 2 + size]
        if size < 2 or len(segment) != 2 + size:
            raise ValueError("a segment is cut off")
        if marker == 0xE1 and segment[4:10] == b"Exif\0\0":
            orientation = _orientation(segment[10:])
        if marker in {0xE0, 0xEE} or not (0xE0 <= marker <= 0xEF or marker == 0xFE):
            out.append(segment)
        position += 2 + size
        if marker == 0xDA:
            scans += 1
            found = _AFTER_SCAN.search(image, position)
            if found is None:
                raise ValueError("the picture is cut off")
            out.append(image[position : found.start()])
            position = found.start()
    if not scans:
        raise ValueError("there is no picture")
    head = [_exif_with(orientation)] if orientation != 1 else []
    return b"".join([b"\xff\xd8", *head, *out, b"\xff\xd9"])


def _orientation(tiff: bytes) -> int:
    """Return the EXIF orientation (1 to 8), 1 when there is none or it makes no sense."""
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return 1
    try:
        (offset,) = struct.unpack_from(order + "I", tiff, 4)
        (count,) = struct.unpack_from(order + "H", tiff, offset)
        for number in range(min(count, 200)):
            tag, _, _, value = struct.unpack_from(order + "HHIH", tiff, offset + 2 + 12 * number)
            if tag == _ORIENTATION_TAG:
                return value if 1 <= value <= 8 else 1
    except struct.error:
        return 1
    return 1


def _exif_with(orientation: int) -> bytes:
    """Return an APP1 segment that says the orientation and nothing else."""
    entry = struct.pack(">HHIHH", _ORIENTATION_TAG, 3, 1, orientation, 0)
    tiff = b"MM\x00\x2a" + struct.pack(">IH", 8, 1) + entry + struct.pack(">I", 0)
    body = b"Exif\0\0" + tiff
    return b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body


def _clean_png(image: bytes) -> bytes:
    out = [_PNG]
    position = len(_PNG)
    seen: list[bytes] = []
    while seen[-1:] != [b"IEND"]:
        (size,) = struct.unpack_from(">I", image, position)
        kind = image[position + 4 : position + 8]
        chunk = image[position : position + 12 + size]
        if len(chunk) != 12 + size:
            raise ValueError("a chunk is cut off")
        if kind in _PNG_KEPT:
            out.append(chunk)
        seen.append(kind)
        position += 12 + size
    if seen[0] != b"IHDR" or b"IDAT" not in seen:
        raise ValueError("there is no picture")
    return b"".join(out)


def _webp_chunks(image: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = 12
    while position + 8 <= len(image):
        kind, size = (
            image[position : position + 4],
            struct.unpack_from("<I", image, position + 4)[0],
        )
        data = image[position + 8 : position + 8 + size]
        if len(data) != size:
            raise ValueError("a chunk is cut off")
        yield kind, data
        position += 8 + size + size % 2


def _clean_webp(image: bytes) -> bytes:
    out: list[bytes] = []
    picture = False
    for kind, data in _webp_chunks(image):
        if kind not in _WEBP_KEPT:
            continue
        kept = data
        if kind == b"VP8X":
            kept = bytes([data[0] & ~_WEBP_METADATA_FLAGS & ~0x20]) + data[1:]
        picture = picture or kind in {b"VP8 ", b"VP8L", b"ANMF"}
        out.append(kind + struct.pack("<I", len(kept)) + kept + b"\0" * (len(kept) % 2))
    if not picture:
        raise ValueError("there is no picture")
    body = b"WEBP" + b"".join(out)
    return b"RIFF" + struct.pack("<I", len(body)) + body
