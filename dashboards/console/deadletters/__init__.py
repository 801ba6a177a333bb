"""Dead letters: frames that could not be used, to look at, replay and discard (未解码消息)."""

from dashboards.console.deadletters.routes import router

__all__ = ["router"]
