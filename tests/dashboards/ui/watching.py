"""What every page test looks at: complaints of the browser, accessibility, sideways scrolling."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from playwright.async_api import ConsoleMessage, Page

ROOT = Path(__file__).parents[3]
AXE = ROOT / "dashboards" / "assets" / "node_modules" / "axe-core" / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
# What depends on the size of the window; the rest is the same in every size.
SIZE_RULES = ["target-size", "scrollable-region-focusable"]
WIDE, ZOOMED, PHONE = (1366, 768), (683, 384), (390, 844)
NEXT_FRAME = "new Promise((done) => requestAnimationFrame(() => setTimeout(done)))"
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


async def accessibility_findings(page: Page, rules: list[str] | None = None) -> list[str]:
    """Return what axe-core finds, by single rules or by all that we keep.

    It runs through the debugger and needs no exception from the policy.
    """
    if not await page.evaluate("'axe' in window"):
        session = await page.context.new_cdp_session(page)
        await session.send("Runtime.evaluate", {"expression": AXE.read_text(encoding="utf-8")})
        await session.detach()
    result: dict[str, Any] = await page.evaluate(
        """async (wanted) => {
            const found = await axe.run(document, {...wanted, resultTypes: ['violations']});
            return {violations: found.violations, passes: found.passes.length};
        }""",
        {"runOnly": {"type": "rule", "values": rules} if rules else RULES},
    )
    if rules is None and result["passes"] < 15:
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
    """Save a picture under test-results/ui; not when all tests run side by side."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        # Hiding the caret would leave style attributes behind, which htmx then copies.
        picture = PICTURES / f"{name}.png"
        await page.screenshot(path=picture, full_page=whole, caret="initial")


async def look_over(
    page: Page,
    paths: Mapping[str, str],
    look: str,
    sizes: tuple[tuple[int, int], ...],
    *,
    expected: str = "\0",
) -> list[str]:
    """Open each page in the first size, then make the window the others; return all that is wrong.

    In every size a page must fit and its targets be large enough, and the browser has nothing to
    complain about (except for what contains `expected`). The rest of axe-core runs in the last
    size: what a page says and its colours are the same in all of them.
    """
    complaints = collect_complaints(page)
    found: list[str] = []
    for name, path in paths.items():
        for width, height in sizes:
            await page.set_viewport_size({"width": width, "height": height})
            if (width, height) == sizes[0]:
                await page.goto(path)
            await settled(page)
            await page.evaluate(NEXT_FRAME)
            await photograph(page, f"{look}-{name}-{width}", whole=True)
            wrong = [one for one in complaints if expected not in one]
            wrong += ["scrolls sideways"] if await scrolls_sideways(page) else []
            rules = None if (width, height) == sizes[-1] else SIZE_RULES
            wrong += await accessibility_findings(page, rules)
            # axe-core styles elements of its own; that the policy refuses this is not the page.
            complaints.clear()
            found += [f"{name} {width}: {one}" for one in wrong]
    return found
