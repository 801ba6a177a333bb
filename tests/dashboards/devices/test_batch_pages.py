"""Batches through the pages: made, its key seen once, ended."""

import re

from kernel.auth.model import Role
from tests.dashboards.devices.site import Site, Visitor
from tests.devices.registry.world import XINCHENG

PATH = "/console/devices/batches"
FIELDS = {"profile": "sl-watch-1", "division_code": XINCHENG, "most": 20, "lasts": 30}


async def test_a_batch_is_made_shown_once_and_ended(site: Site, technician: Visitor) -> None:
    refused = await technician.submit(PATH, batch="a b", **FIELDS | {"most": "x", "lasts": "9"})
    assert refused.status_code == 422
    for sentence in ("批次名由字母、数字和横线组成", "一个批次 1 到 10000 台", "请选择有效期"):
        assert sentence in technician.text
    made = await technician.submit(PATH, batch="W2026", **FIELDS)
    assert made.status_code == 200
    assert made.headers["cache-control"] == "no-store"
    assert re.search(r"slp_[A-Za-z0-9_-]{43}", technician.text)
    await technician.open(PATH)
    assert "slp_" not in technician.page
    assert "W2026" in technician.text
    assert "0 / 20" in technician.text
    action = re.search(r'action="([^"]*/revoke)"', technician.page)
    assert action
    done = await technician.submit(action[1])
    await technician.follow(done)
    assert "批次已结束" in technician.text
    assert (await technician.submit(action[1])).status_code == 303


async def test_only_who_may_change_devices_opens_batches(site: Site) -> None:
    operator = await site.visitor("wang", Role.OPERATOR)
    assert (await operator.open(PATH)).status_code == 403
    assert (await operator.submit(PATH, batch="W2026", **FIELDS)).status_code == 403
