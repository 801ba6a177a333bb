"""What every page test looks at: complaints of the browser, accessibility, sideways scrolling."""

from pathlib import Path
from typing import Any

from playwright.async_api import ConsoleMessage, Page

ROOT = Path(__file__).parents[3]
AXE = ROOT / "dashboards" / "assets" / "node_modules" / "axe-core" / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
PICTURES = ROOT / "test-results" / "ui"


def collect_complaints(page: Page) -> list[str]:
    """Return a list that fills with script errors and refused loads of the page."""
    found: list[str] = []

    def on_console(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} or "Content Security Policy" in message.text:
            found.append(message.text)

    page.on("console", on_console)
    page.on("pageerror", lambda error: found.append(f"error: {error}"))
    return found


async def settled(page: Page) -> None:
    """Wait until the scripts run, the queue is there, and charts and maps are drawn."""
    await page.wait_for_selector("html[data-ready]", state="attached")
    await page.wait_for_function(
        """() => [...document.querySelectorAll('[data-chart], [data-map]')]
            .every((e) => ['ready', 'empty', 'failed'].includes(e.dataset.state))
          && (!document.getElementById('queue')
              || document.getElementById('queue').dataset.state === 'fresh')"""
    )


async def accessibility_findings(page: Page) -> list[str]:
    """Return what axe-core finds; it runs through the debugger and needs no exception."""
    session = await page.context.new_cdp_session(page)
    await session.send("Runtime.evaluate", {"expression": AXE.read_text(encoding="utf-8")})
    result: dict[str, Any] = await page.evaluate(
        "(rules) => axe.run(document, {runOnly: rules})", RULES
    )
    await session.detach()
    if len(result["passes"]) < 15:
        raise AssertionError("axe-core hardly looked at the page")
    return [
        f"{found['id']}: {node['html'][:200]} {node['failureSummary']}"
        for found in result["violations"]
        for node in found["nodes"]
    ]


async def scrolls_sideways(page: Page) -> bool:
    """True when the page is wider than its window."""
    return bool(await page.evaluate("document.documentElement.scrollWidth > window.innerWidth"))


async def photograph(page: Page, name: str, *, whole: bool = False) -> None:
    """Save a picture under test-results/ui."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    await page.screenshot(path=PICTURES / f"{name}.png", full_page=whole)
