"""Effects that could not be brought out: for the administrator."""

from dashboards.console.outbox.routes import router

__all__ = ["router"]
