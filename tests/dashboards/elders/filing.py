"""What the tests of the elders' pages do with forms, as a browser without scripts does it."""

import httpx

from kernel import audit
from tests.dashboards.elders.conftest import Person, Site, text_of

NEW = {
    "name": "李建国",
    "id_number": "150102 19400101 1238",
    "division": "新城区 东风路街道",
    "address": "海东路88号3号楼2单元501室",
    "living_situation": "alone",
    "phones.0.number": "138-1234-5678",
    "phones.0.label": "手机",
    "lat": "40.8345",
    "lon": "111.7280",
    "languages": "晋语、普通话",
    "access_notes": "钥匙盒密码 4821",
}


async def post(site: Site, person: Person, path: str, data: dict[str, str]) -> httpx.Response:
    async with site.client(person) as client:
        return await client.post(path, data=data | {"_csrf": person.csrf})


async def register(site: Site, person: Person, **changes: str) -> str:
    """Register an elder through the form and return the path of the page."""
    answer = await post(site, person, "/console/elders", NEW | changes)
    assert answer.status_code == 303, text_of(answer.text)
    return str(answer.headers["location"]).split("/contacts")[0]


async def actions(site: Site, subject: str) -> list[str]:
    async with site.db.connection() as conn:
        found = await audit.search(conn, audit.AuditFilters(subject_id=subject))
    return [entry.action for entry in reversed(found.entries)]
