"""What the workers have given up: seen, tried again by a worker, discarded; with a reason."""

import uuid

import pytest
from playwright.async_api import Browser

from kernel import audit
from kernel.auth.model import Role
from kernel.db import Database, fetch_value
from kernel.outbox import Handler, OutboxItem, OutboxWorker, PermanentFailure, enqueue
from tests.dashboards.devices.site import Site, Visitor, browse, serving
from tests.dashboards.ui.watching import PHONE, WIDE, ZOOMED, look_over

ROOT = "/console/outbox"


class Provider:
    """Refuses until it is mended, and writes down what it did."""

    def __init__(self) -> None:
        self.mended = False
        self.done: list[str] = []

    async def handle(self, item: OutboxItem) -> None:
        if not self.mended:
            raise PermanentFailure("the provider has closed our account")
        self.done.append(item.payload["attempt"])

    def handlers(self) -> dict[str, Handler]:
        return {"carrier.text": self.handle, "device.command": self.handle}


@pytest.fixture
def provider() -> Provider:
    return Provider()


async def fail(db: Database, provider: Provider, *topics: str) -> list[uuid.UUID]:
    """Have a worker give up an effect of each topic."""
    made = []
    async with db.transaction() as tx:
        for number, topic in enumerate(topics):
            item_id = await enqueue(tx, topic, {"attempt": f"13912345678-{number}"})
            assert item_id
            made.append(item_id)
    await OutboxWorker(db, provider.handlers()).run_once()
    return made


async def test_an_administrator_sees_what_failed_why_and_when_and_no_payload(
    site: Site, administrator: Visitor, provider: Provider
) -> None:
    await administrator.open(ROOT)
    assert "没有没办成的事" in administrator.text
    [text, _] = await fail(site.db, provider, "carrier.text", "device.command")
    await administrator.open(ROOT)
    assert 'data-total="2"' in administrator.page
    for shown in ("发送短信", "向设备发送指令", "the provider has closed our account", "1 次"):
        assert shown in administrator.text
    await administrator.open(f"{ROOT}?topic=carrier.text")
    assert 'data-total="1"' in administrator.page
    await administrator.open(f"{ROOT}/{text}")
    assert "已经作废的短信不会再发。" in administrator.text
    assert "13912345678" not in administrator.page


async def test_trying_again_gives_it_to_the_workers_and_needs_a_reason(
    site: Site, administrator: Visitor, provider: Provider
) -> None:
    [item] = await fail(site.db, provider, "carrier.text")
    await administrator.open(f"{ROOT}/{item}")
    assert (await administrator.submit(f"{ROOT}/{item}/retry", reason=" ")).status_code == 422
    assert "写明原因" in administrator.text
    provider.mended = True
    response = await administrator.submit(f"{ROOT}/{item}/retry", reason="短信服务已恢复")
    await administrator.follow(response)
    assert "已交给后台再试 1 项" in administrator.text
    await OutboxWorker(site.db, provider.handlers()).run_once()
    assert provider.done == ["13912345678-0"]
    # It is with the workers now: there is nothing to try a second time.
    assert (await administrator.submit(f"{ROOT}/{item}/retry", reason="x")).status_code == 404
    async with site.db.connection() as conn:
        [entry] = (await audit.search(conn, audit.AuditFilters(action="outbox"))).entries
    assert (entry.action, entry.subject_id) == ("outbox.retried", str(item))
    assert entry.facts == {"topic": "carrier.text", "attempts": 1, "reason": "短信服务已恢复"}


async def test_discarding_keeps_the_workers_from_it(
    site: Site, administrator: Visitor, provider: Provider
) -> None:
    [item] = await fail(site.db, provider, "carrier.text")
    await administrator.open(f"{ROOT}/{item}")
    assert (await administrator.submit(f"{ROOT}/{item}/discard", why="x" * 201)).status_code == 422
    response = await administrator.submit(f"{ROOT}/{item}/discard", why="已经电话通知")
    assert response.headers["location"] == f"{ROOT}?done=discarded"
    again = await administrator.submit(f"{ROOT}/{item}/retry", reason="两人同时")
    assert again.headers["location"] == f"{ROOT}?done=gone"
    provider.mended = True
    await OutboxWorker(site.db, provider.handlers()).run_once()
    assert provider.done == []
    await administrator.open(ROOT)
    assert "没有没办成的事" in administrator.text
    await administrator.open(f"{ROOT}/{item}")
    assert "已丢弃，不会再做。" in administrator.text


async def test_everything_of_a_topic_is_tried_again_at_once(
    site: Site, administrator: Visitor, provider: Provider
) -> None:
    await fail(site.db, provider, "carrier.text", "carrier.text", "device.command")
    await administrator.open(f"{ROOT}?topic=carrier.text")
    response = await administrator.submit(f"{ROOT}/retry", topic="carrier.text")
    assert response.status_code == 422
    provider.mended = True
    response = await administrator.submit(
        f"{ROOT}/retry", topic="carrier.text", reason="短信服务已恢复"
    )
    assert response.headers["location"] == f"{ROOT}?done=retried&n=2"
    await OutboxWorker(site.db, provider.handlers()).run_once()
    assert sorted(provider.done) == ["13912345678-0", "13912345678-1"]
    async with site.db.connection() as conn:
        assert await fetch_value(conn, "SELECT count(*) FROM outbox WHERE dead_at IS NOT NULL") == 1


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.SUPERVISOR, Role.DEVICE_TECHNICIAN])
async def test_nobody_else_gets_in(site: Site, role: Role, provider: Provider) -> None:
    [item] = await fail(site.db, provider, "carrier.text")
    visitor = await site.visitor("somebody", role)
    for path in (ROOT, f"{ROOT}/{item}"):
        assert (await visitor.open(path)).status_code == 403
    assert (await visitor.submit(f"{ROOT}/{item}/discard", why="x")).status_code == 403


@pytest.mark.parametrize(
    ("look", "choices"), [("light", {}), ("english-dark", {"locale": "en", "theme": "dark"})]
)
async def test_every_page_is_accessible_fits_and_obeys_the_policy(
    look: str, choices: dict[str, str], site: Site, chromium: Browser, provider: Provider
) -> None:
    opened = await site.account("zhao", Role.ADMINISTRATOR, **choices)
    [item, _] = await fail(site.db, provider, "carrier.text", "device.command")
    paths = {"list": ROOT, "none": f"{ROOT}?topic=nothing&done=discarded", "one": f"{ROOT}/{item}"}
    async with serving(site) as url:
        context, page = await browse(chromium, url, opened.token)
        found = await look_over(page, paths, f"outbox/{look}", (ZOOMED, WIDE, PHONE))
        await context.close()
    assert found == []
