"""The Content-Security-Policy of every page: nothing inline, nothing from elsewhere."""

from urllib.parse import urlsplit


def content_security_policy(tile_url: str | None = None) -> str:
    """Return the header's value; a map tile address adds its host to the image sources."""
    images = "'self' data: blob:"
    if tile_url and (origin := tile_origin(tile_url)):
        images += f" {origin}"
    return "; ".join(
        (
            "default-src 'self'",
            "script-src 'self'",
            "style-src 'self'",
            f"img-src {images}",
            "connect-src 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "form-action 'self'",
        )
    )


def tile_origin(tile_url: str) -> str:
    """Return scheme and host of a Leaflet template such as `https://{s}.host/{z}/{x}/{y}.png`."""
    parts = urlsplit(tile_url)
    if not parts.netloc:
        return ""
    return f"{parts.scheme}://{parts.netloc.replace('{s}', '*')}"


CSP_HEADER = content_security_policy()
