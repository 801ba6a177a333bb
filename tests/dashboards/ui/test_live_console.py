"""The alarm feed in a real browser: it rings, it survives, it never shows an old queue."""

import re
from dataclasses import replace

from playwright.async_api import BrowserContext, Page, expect

from dashboards.ui.gallery_data import QueueItem
from kernel.auth.model import Role
from kernel.clock import utcnow
from tests.dashboards.ui.harness import Stage, busy_queue
from tests.dashboards.ui.watching import collect_complaints, settled

LISTEN = """() => {
  const sound = document.getElementById("sound");
  window.heard = [];
  new MutationObserver(() => window.heard.push(`${sound.dataset.state} ${sound.dataset.tone}`))
    .observe(sound, { attributes: true });
}"""


def fall(item_id: str = "n1", severity: str = "critical", kind: str = "fall") -> QueueItem:
    return QueueItem(
        item_id,
        severity,
        kind,
        "open",
        "李秀英 82 岁",
        "新城区",
        utcnow(),
        href=f"/console/incidents/{item_id}",
    )


async def go(page: Page, path: str = "/console") -> None:
    await page.goto(path)
    await settled(page)
    await expect(page.locator("#feed-state")).to_have_attribute("data-state", "live")


async def test_a_critical_incident_rings_until_somebody_has_it(tab: Page, stage: Stage) -> None:
    await go(tab)
    await expect(tab.locator("#sound")).to_have_attribute("data-state", "on")
    stage.open_incident(fall())
    await expect(tab.locator("#queue-n1")).to_be_visible()
    await expect(tab.locator("#sound")).to_have_attribute("data-state", "ringing")
    await expect(tab.locator("#sound")).to_have_attribute("data-tone", "new")
    await expect(tab).to_have_title(re.compile("▲ 紧急 1 · 跌倒"))
    await expect(tab.locator("#announcer")).to_contain_text("跌倒，李秀英")
    stage.change("n1", status="acknowledged", claimed_by="王芳")
    await expect(tab.locator("#sound")).to_have_attribute("data-state", "on")
    await expect(tab.locator("#sound")).to_have_attribute("data-tone", "")
    await expect(tab).to_have_title("警情 · 银龄")


async def test_nothing_rings_for_who_may_see_but_not_take_them(tab: Page, stage: Stage) -> None:
    stage.actor = replace(stage.actor, roles=frozenset({Role.CARE_MANAGER}))
    complaints = collect_complaints(tab)
    await go(tab)
    title = await tab.title()
    stage.open_incident(fall())
    await expect(tab.locator("#queue-n1")).to_be_visible()
    await expect(tab.locator("#sound")).to_have_count(0)
    assert await tab.title() == title
    assert complaints == []


async def test_a_repeat_sounds_different(tab: Page, stage: Stage) -> None:
    stage.queue = [fall()]
    await go(tab)
    await expect(tab.locator("#sound")).to_have_attribute("data-tone", "new")
    stage.change("n1", "incident.repeated", repeats=2)
    await expect(tab.locator("#sound")).to_have_attribute("data-tone", "repeat")
    await expect(tab.locator("#queue-n1")).to_contain_text("第 2 次触发")


async def test_a_repeat_of_a_claimed_incident_sounds_and_ends_by_itself(
    tab: Page, stage: Stage
) -> None:
    stage.queue = [replace(fall(), status="acknowledged", claimed_by="王芳")]
    await go(tab)
    await expect(tab.locator("#sound")).to_have_attribute("data-state", "on")
    # It sounds for five seconds: whoever looks now and then may miss them.
    await tab.evaluate(LISTEN)
    stage.change("n1", "incident.repeated", repeats=2)
    await tab.wait_for_function("() => window.heard.includes('ringing repeat')")
    await expect(tab.locator("#sound")).to_have_attribute("data-state", "on")
    await expect(tab.locator("#sound")).to_have_attribute("data-tone", "")


async def test_lesser_incidents_are_silent(tab: Page, stage: Stage) -> None:
    await go(tab)
    stage.open_incident(fall("n2", "major", "heart_rate_high"))
    await expect(tab.locator("#queue-n2")).to_be_visible()
    await expect(tab.locator("#sound")).to_have_attribute("data-state", "on")


async def test_a_muted_minute_ends_with_the_next_critical_incident(tab: Page, stage: Stage) -> None:
    stage.queue = [fall()]
    await go(tab)
    await expect(tab.locator("#sound")).to_have_attribute("data-state", "ringing")
    await tab.click("#sound")
    await expect(tab.locator("#sound")).to_have_attribute("data-state", "muted")
    stage.open_incident(fall("n2", kind="sos"))
    await expect(tab.locator("#sound")).to_have_attribute("data-state", "ringing")


async def test_the_feed_survives_a_restart_of_the_web_process(tab: Page, stage: Stage) -> None:
    await go(tab)
    stage.feed_status = stage.queue_status = 502
    stage.cut()
    await expect(tab.locator("#feed-state")).to_have_attribute("data-state", "retrying")
    await expect(tab.locator("#feed-state")).to_contain_text("正在重连，自")
    # What happened while the line was down is not announced again by anybody.
    stage.queue = [fall()]
    stage.feed_status = stage.queue_status = 200
    await expect(tab.locator("#feed-state")).to_have_attribute("data-state", "live", timeout=20_000)
    await expect(tab.locator("#queue-n1")).to_be_visible()
    await expect(tab.locator("#sound")).to_have_attribute("data-state", "ringing")


async def test_resync_renders_the_queue_again(tab: Page, stage: Stage) -> None:
    await go(tab)
    stage.queue = [fall()]
    stage.publish("resync")
    await expect(tab.locator("#queue-n1")).to_be_visible()


async def test_a_queue_that_cannot_be_fetched_says_so_and_recovers(tab: Page, stage: Stage) -> None:
    stage.queue = [fall()]
    await go(tab)
    stage.queue_status = 500
    stage.publish("incident.changed", id="n1", severity="critical")
    await expect(tab.locator("#queue")).to_have_attribute("data-state", "stale")
    await expect(tab.locator(".queue-stale")).to_be_visible()
    await expect(tab.locator("#queue-n1")).to_be_visible()
    stage.queue_status = 200
    await expect(tab.locator("#queue")).to_have_attribute("data-state", "fresh")


async def test_many_events_are_one_refresh(tab: Page, stage: Stage) -> None:
    await go(tab)
    # Once when the page was there, once when the feed was.
    await expect(tab.locator("#queue")).to_have_attribute("data-refreshed", re.compile("[2-9]"))
    before = int(await tab.locator("#queue").get_attribute("data-refreshed") or 0)
    for number in range(40):
        stage.publish("incident.changed", id=f"x{number}", severity="major")
    stage.open_incident(fall())
    await expect(tab.locator("#queue-n1")).to_be_visible()
    after = int(await tab.locator("#queue").get_attribute("data-refreshed") or 0)
    assert after - before <= 3


async def test_tabs_share_one_line_and_the_next_takes_over(
    seat: BrowserContext, stage: Stage
) -> None:
    first = await seat.new_page()
    await go(first)
    second = await seat.new_page()
    await go(second)
    assert stage.feeds_opened == 1
    assert await first.get_attribute("#feed-state", "data-leads") == "true"
    stage.open_incident(fall())
    for page in (first, second):
        await expect(page.locator("#sound")).to_have_attribute("data-state", "ringing")
    sounding = [await page.get_attribute("#sound", "data-tone") for page in (first, second)]
    assert sorted(str(tone) for tone in sounding) == ["", "new"]
    await first.close()
    await expect(second.locator("#feed-state")).to_have_attribute("data-leads", "true")
    await expect(second.locator("#sound")).to_have_attribute("data-tone", "new")
    stage.open_incident(fall("n2", kind="sos"))
    await expect(second.locator("#queue-n2")).to_be_visible()


async def test_the_open_incident_is_refreshed_without_losing_what_is_typed(
    tab: Page, stage: Stage
) -> None:
    stage.queue = busy_queue()
    await go(tab, "/console/incidents/q1")
    await tab.fill("#note", "已联系女儿")
    stage.change("q1", status="acknowledged", claimed_by="赵磊")
    await expect(tab.locator("#status")).to_contain_text("已接警")
    assert await tab.input_value("#note") == "已联系女儿"


async def test_an_ended_session_says_so_and_leaves_the_page_alone(tab: Page, stage: Stage) -> None:
    stage.queue = busy_queue()
    await go(tab, "/console/incidents/q1")
    await tab.fill("#note", "已联系女儿")
    stage.queue_status = 401
    stage.publish("incident.changed", id="q2", severity="critical")
    await expect(tab.locator("#session-over")).to_be_visible()
    assert await tab.input_value("#note") == "已联系女儿"


async def test_a_blocked_sound_asks_to_be_unlocked(tab: Page, stage: Stage) -> None:
    await tab.add_init_script(
        """Object.defineProperty(AudioContext.prototype, 'state', {
            get() { return window.allowed ? 'running' : 'suspended'; } });
           AudioContext.prototype.resume = function () {
            if (window.pressed) window.allowed = true; return Promise.resolve(); };
           addEventListener('pointerdown', () => { window.pressed = true; }, true);"""
    )
    stage.queue = [fall()]
    await go(tab)
    await expect(tab.locator("#sound")).to_have_attribute("data-state", "locked")
    await expect(tab.locator("#sound")).to_contain_text("点此打开报警声")
    await tab.click("#sound")
    await expect(tab.locator("#sound")).to_have_attribute("data-state", "ringing")


async def test_clocks_change_word_and_colour_at_the_limit(tab: Page, stage: Stage) -> None:
    await tab.clock.install()
    await go(tab)
    # It begins when the page is there: however long that took, the seconds are those of the test.
    stage.open_incident(replace(fall(), since=utcnow().replace(microsecond=0)))
    clock = tab.locator("#queue-n1 .clock")
    await expect(clock).to_have_attribute("data-level", "0")
    await tab.clock.run_for(50_000)
    await expect(clock).to_have_text(re.compile(r"^\s*00:[45]\d$"))
    await tab.clock.run_for(11_000)
    await expect(clock).to_have_attribute("data-level", "1")
    await expect(clock).to_contain_text("超时 01:0")


async def test_nothing_complains_while_the_feed_works(tab: Page, stage: Stage) -> None:
    complaints = collect_complaints(tab)
    await go(tab)
    stage.open_incident(fall())
    await expect(tab.locator("#queue-n1")).to_be_visible()
    await tab.click("#queue-n1")
    await expect(tab.locator("h1")).to_contain_text("李秀英")
    assert complaints == []


async def test_two_at_once_are_both_read_out_each_by_its_own_kind(tab: Page, stage: Stage) -> None:
    await go(tab)
    stage.open_incident(fall())
    stage.open_incident(replace(fall("n2", kind="sos"), who="巴特尔 79 岁"))
    said = tab.locator("#announcer")
    await expect(tab.locator("#queue-n2")).to_be_visible()
    await expect(said).to_contain_text("求助，巴特尔 79 岁")
    await tab.evaluate("document.getElementById('announcer').textContent = ''")
    # The one that comes later is not called by the kind of the one that waits before it.
    stage.open_incident(replace(fall("n3", kind="smoke"), who="斯琴 81 岁"))
    await expect(said).to_contain_text("烟雾，斯琴 81 岁")


async def test_who_gets_an_incident_from_a_colleague_is_told(tab: Page, stage: Stage) -> None:
    await go(tab)
    stage.open_incident(fall())
    await expect(tab.locator("#queue-n1")).to_be_visible()
    stage.change("n1", status="acknowledged", claimed_by="赵磊")
    await expect(tab.locator("#queue-n1")).to_contain_text("赵磊")
    await expect(tab.locator("#notices")).to_be_empty()
    stage.change("n1", mine=True)
    await expect(tab.locator("#notices")).to_contain_text("移交给您：跌倒，李秀英 82 岁")
