"""As much of SIP as a receiver of MESSAGE needs: reading a request, writing its response.

RFC 3261 (messages 7, responses 8.2.6, transport 18), RFC 3428 (MESSAGE), RFC 3581 (rport). Pure:
no sockets here. Strict about what is copied into a response: no header may hold a line end.
"""

import re
from dataclasses import dataclass
from hashlib import blake2b

MAX_HEAD = 8 * 1024
"""Request line and headers, in bytes."""
MAX_BODY = 8 * 1024
"""Body, in bytes."""
_MAX_HEADERS = 64

_LINE = re.compile(r"([A-Za-z0-9.!%*_+`'~-]{1,32}) ([^\s]{1,512}) SIP/2\.0")
_HEADER = re.compile(r"([A-Za-z0-9.!%*_+`'~-]{1,64})[ \t]*:(.*)", re.DOTALL)
_CSEQ = re.compile(r"(\d{1,10})[ \t]+([A-Za-z0-9.!%*_+`'~-]{1,32})", re.ASCII)
_VIA = re.compile(
    r"SIP[ \t]*/[ \t]*2\.0[ \t]*/[ \t]*[A-Za-z0-9.-]{1,16}[ \t]+"
    r"(?P<host>\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,255})(?:[ \t]*:[ \t]*(?P<port>\d{1,5}))?"
    r"(?P<params>[ \t]*(?:;.*)?)",
    re.ASCII | re.DOTALL,
)
_RPORT = re.compile(r";[ \t]*rport[ \t]*(?=;|$)", re.IGNORECASE)
_TAG = re.compile(r";[ \t]*tag[ \t]*=", re.IGNORECASE)
_BAD = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_SHORT = {
    "v": "via", "f": "from", "t": "to", "i": "call-id", "l": "content-length",
    "c": "content-type", "e": "content-encoding", "m": "contact", "k": "supported",
}  # fmt: skip
_ONCE = ("from", "to", "call-id", "cseq")
_REASONS = {
    200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed",
    413: "Request Entity Too Large", 415: "Unsupported Media Type", 420: "Bad Extension",
    500: "Server Internal Error", 503: "Service Unavailable",
}  # fmt: skip

Place = tuple[str, int]
"""Address and port of a sender."""


class SipError(ValueError):
    """What came is no SIP request that could be answered."""


@dataclass(frozen=True, slots=True)
class SipHead:
    """A request without its body. Names of headers are in small letters and written out."""

    method: str
    uri: str
    headers: tuple[tuple[str, str], ...]

    def get(self, name: str) -> str:
        """The first header of this name, "" without one."""
        return next((value for known, value in self.headers if known == name), "")

    @property
    def vias(self) -> list[str]:
        """Every Via, from the newest to the oldest."""
        return [value for name, value in self.headers if name == "via"]

    @property
    def content_length(self) -> int | None:
        """What Content-Length says, None without one. Raises SipError for what is no number."""
        value = self.get("content-length")
        if not value:
            return None
        if not re.fullmatch(r"\d{1,9}", value, re.ASCII):
            raise SipError("Content-Length is no number")
        return int(value)

    @property
    def transaction(self) -> tuple[str, ...]:
        """What is the same in a retransmission and in nothing else (RFC 3261, 17.2.3)."""
        return (self.method, self.get("call-id"), self.get("cseq"), self.get("from"), self.vias[0])


def read_head(data: bytes) -> SipHead:
    """Read a request line and headers, up to and with the empty line. Raises SipError."""
    if len(data) > MAX_HEAD or not data.endswith(b"\r\n\r\n"):
        raise SipError("the head has no end, or is too long")
    try:
        lines = data[:-4].decode("utf-8").split("\r\n")
    except UnicodeDecodeError as error:
        raise SipError("the head is not UTF-8") from error
    first = _LINE.fullmatch(lines[0])
    if first is None:
        raise SipError("the first line is no request of SIP/2.0")
    head = SipHead(first[1], first[2], tuple(_headers(lines[1:])))
    _check(head)
    return head


def read_datagram(data: bytes) -> tuple[SipHead, bytes]:
    """Read a request that is a datagram: what Content-Length leaves out is no part of it (18.3).

    Raises SipError.
    """
    data = data.lstrip(b"\r\n")
    head_bytes, mark, body = data.partition(b"\r\n\r\n")
    head = read_head(head_bytes + mark)
    length = head.content_length
    if length is not None and length > len(body):
        raise SipError("the body is shorter than Content-Length")
    return head, body if length is None else body[:length]


def _headers(lines: list[str]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for line in lines:
        if _BAD.search(line):
            raise SipError("a header holds a control character")
        if line[:1] in (" ", "\t") and found:
            name, value = found[-1]
            found[-1] = (name, f"{value} {line.strip()}")
            continue
        match = _HEADER.fullmatch(line)
        if match is None:
            raise SipError("a line is no header")
        name = match[1].lower()
        found.append((_SHORT.get(name, name), match[2].strip()))
    if len(found) > _MAX_HEADERS:
        raise SipError("too many headers")
    return found


def _check(head: SipHead) -> None:
    names = [name for name, _ in head.headers]
    if any(names.count(name) != 1 or not head.get(name) for name in _ONCE):
        raise SipError("From, To, Call-ID or CSeq is missing, or is there twice")
    cseq = _CSEQ.fullmatch(head.get("cseq"))
    if cseq is None or cseq[2] != head.method:
        raise SipError("CSeq does not fit the method")
    if not head.vias or _VIA.fullmatch(_first(head.vias[0])) is None:
        raise SipError("the topmost Via cannot be read")
    if names.count("content-length") > 1:
        raise SipError("Content-Length is there twice")


def _first(via: str) -> str:
    """The topmost of several in one header."""
    return via.split(",", 1)[0].strip()


def response(
    head: SipHead,
    status: int,
    source: Place,
    *,
    body: bytes = b"",
    extra: tuple[tuple[str, str], ...] = (),
) -> bytes:
    """Write the response to a request (8.2.6.2); `extra` are further headers."""
    vias = [_seen(head.vias[0], source), *head.vias[1:]]
    to = head.get("to")
    if not _TAG.search(to):
        to = f"{to};tag={_tag(head)}"
    lines = [
        f"SIP/2.0 {status} {_REASONS[status]}",
        *(f"Via: {via}" for via in vias),
        f"From: {head.get('from')}",
        f"To: {to}",
        f"Call-ID: {head.get('call-id')}",
        f"CSeq: {head.get('cseq')}",
        *(f"{name}: {value}" for name, value in extra),
        f"Content-Length: {len(body)}",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def _seen(via: str, source: Place) -> str:
    """The topmost Via with where it really came from (18.2.1, RFC 3581)."""
    top, comma, rest = via.partition(",")
    host, port = source
    top = _RPORT.sub(f";rport={port}", top.strip())
    return f"{top};received={host}{comma}{rest}"


def _tag(head: SipHead) -> str:
    # The same for each retransmission, without remembering anything (8.2.7).
    return blake2b("\n".join(head.transaction).encode(), digest_size=8).hexdigest()


def answer_place(head: SipHead, source: Place) -> Place:
    """Where a response over UDP goes (18.2.2, RFC 3581).

    To the port that the topmost Via names, unless it asks for the port that we saw, or there is an
    address translation in between: then only the port that we saw leads back.
    """
    match = _VIA.fullmatch(_first(head.vias[0]))
    if match is None or _RPORT.search(match["params"]):
        return source
    named = int(match["port"] or 5060)
    if match["host"].strip("[]") != source[0] or not 0 < named <= 65_535:
        return source
    return (source[0], named)
