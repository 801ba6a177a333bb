"""The built scripts, styles and icons: their names with content hashes, and how they are served."""

import json
from collections.abc import Mapping
from pathlib import Path

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

DIST = Path(__file__).parent.parent / "assets" / "dist"
ASSET_PREFIX = "/assets/"
# Smallest first: what the build writes beside each text file.
_ENCODINGS = (("br", ".br"), ("gzip", ".gz"))


class AssetsMissing(RuntimeError):
    """The front end was never built on this machine."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is missing: run `python tools/assets.py build` first")


class Assets:
    """Turns `console.css` into `/assets/console-3F2A.css` by the manifest of the last build."""

    def __init__(self, folder: Path = DIST, prefix: str = ASSET_PREFIX) -> None:
        """Read the manifest. Raises AssetsMissing when nothing was built."""
        self._manifest = folder / "manifest.json"
        self._prefix = prefix
        self._read_at = 0
        self._files: Mapping[str, str] = {}
        self.client_messages: tuple[str, ...] = ()
        self._refresh()

    def url(self, name: str) -> str:
        """Return the address of a built file. Raises KeyError for a name that is not built."""
        self._refresh()
        return self._prefix + self._files[name]

    def _refresh(self) -> None:
        # A rebuild while the web process runs (watch mode) must not show yesterday's hashes.
        try:
            changed_at = self._manifest.stat().st_mtime_ns
        except FileNotFoundError as error:
            raise AssetsMissing(self._manifest) from error
        if changed_at != self._read_at:
            content = json.loads(self._manifest.read_text(encoding="utf-8"))
            self._files = content["files"]
            self.client_messages = tuple(content["messages"])
            self._read_at = changed_at


class AssetFiles(StaticFiles):
    """Serves the build: for ever cacheable (names carry hashes), compressed ahead of time.

    Mount at `ASSET_PREFIX`: `app.mount("/assets", AssetFiles())`.
    """

    def __init__(self, folder: Path = DIST) -> None:
        super().__init__(directory=folder)

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Answer with the smallest encoding that the browser accepts."""
        accepted = Headers(scope=scope).get("accept-encoding", "")
        response: Response | None = None
        for encoding, suffix in _ENCODINGS:
            found, stat = self.lookup_path(path + suffix) if encoding in accepted else ("", None)
            if stat is not None:
                response = self.file_response(found, stat, scope)
                response.headers["Content-Encoding"] = encoding
                response.headers["Content-Type"] = _media_type(path)
                break
        if response is None:
            response = await super().get_response(path, scope)
        response.headers["Vary"] = "Accept-Encoding"
        response.headers["X-Content-Type-Options"] = "nosniff"
        if path != "manifest.json":
            response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response


_MEDIA_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}


def _media_type(path: str) -> str:
    return _MEDIA_TYPES.get(Path(path).suffix, "text/plain; charset=utf-8")
