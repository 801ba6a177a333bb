"""TLS of the embedded broker: its certificate, whose client certificates count, what is revoked.

A certificate of our own authority is judged by the registry at every connection. A list of revoked
certificates (CRL) is for those of another authority; it is read again when its file changes.
"""

import ssl
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class TlsListener:
    """A listener for devices over TLS.

    `client_ca` is a bundle of authorities whose client certificates count, None for none.
    `required`: no device gets in without one. `adopt`: the bundle has another authority, so that
    certificates that we have not issued count, until they are revoked here or in `crl`.
    """

    host: str
    port: int
    certificate: Path
    key: Path
    client_ca: Path | None = None
    crl: Path | None = None
    required: bool = False
    adopt: bool = False


class TlsContext:
    """The context of a listener; connections take what it holds when they begin."""

    def __init__(self, listener: TlsListener) -> None:
        """Read the files. Raises OSError and ssl.SSLError."""
        self._listener = listener
        self._stamps: dict[Path, float] = {}
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        if listener.client_ca is not None:
            self.context.load_verify_locations(listener.client_ca)
            required = ssl.CERT_REQUIRED if listener.required else ssl.CERT_OPTIONAL
            self.context.verify_mode = required
        if listener.crl is not None:
            self.context.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF
        self.refresh()

    def refresh(self) -> bool:
        """Read again what has changed on the disk; True when something had.

        Raises OSError and ssl.SSLError for a file that cannot be used: what was read before counts.
        """
        listener = self._listener
        changed = self._changed(listener.certificate) | self._changed(listener.key)
        if changed:
            self.context.load_cert_chain(listener.certificate, listener.key)
        if listener.crl is not None and self._changed(listener.crl):
            # Of two lists of an authority OpenSSL takes the newer one, by whole seconds.
            self.context.load_verify_locations(listener.crl)
            changed = True
        return changed

    def _changed(self, path: Path) -> bool:
        stamp = path.stat().st_mtime
        before = self._stamps.get(path)
        self._stamps[path] = stamp
        return before != stamp
