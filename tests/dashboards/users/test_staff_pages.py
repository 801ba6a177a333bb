"""The administration of accounts in the console."""

import re
import uuid

import pytest

from kernel.auth.model import Role
from kernel.db import Database, execute, fetch_value
from tests.dashboards.users.conftest import PASSWORD, Browser, Clock, MakeUser, Open

STAFF = "/console/staff"


def secret_in(page: str) -> str:
    found = re.search(r"data-secret>([^<]+)<", page)
    assert found
    return found[1]


async def create(browser: Browser, **fields: str) -> int:
    await browser.open(f"{STAFF}/new")
    typed = {
        "username": "zhao.min",
        "display_name": "赵敏",
        "role-operator": "1",
        "division": "150102",
    }
    return (await browser.submit(STAFF, **(typed | fields))).status_code


async def test_only_the_administrator_comes_in(
    browser: Browser, open_browser: Open, make_user: MakeUser
) -> None:
    for number, role in enumerate(r for r in Role if r is not Role.ADMINISTRATOR):
        await make_user(f"person.{number}", role)
        other = open_browser()
        await other.log_in(f"person.{number}")
        for path in (STAFF, f"{STAFF}/new", f"{STAFF}/{uuid.UUID(int=1)}"):
            assert (await other.open(path)).status_code == 403, role
    assert (await browser.open(STAFF)).headers["location"] == f"/login?next={STAFF}"


async def test_an_account_is_created_and_its_password_shown_once(
    admin: Browser, open_browser: Open, db: Database
) -> None:
    assert await create(admin, division="新城区") == 200
    assert "账号已建立" in admin.text
    secret = secret_in(admin.page)
    person = open_browser()
    response = await person.log_in("zhao.min", secret)
    assert response.status_code == 303
    assert (await person.get("/")).headers["location"] == "/account/password"
    await admin.open(f"{STAFF}?q=zhao")
    assert "赵敏" in admin.text
    assert "内蒙古自治区 呼和浩特市 新城区" in admin.text
    assert "待改密码" in admin.text
    assert secret not in admin.page
    async with db.connection() as conn:
        assert (
            await fetch_value(conn, "SELECT division FROM user_account WHERE username = 'zhao.min'")
            == "150102"
        )


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"username": "赵敏"}, "用户名为 2 到 64 个字母"),
        ({"username": "ADMIN.CITY"}, "这个用户名已有人使用"),
        ({"display_name": " "}, "请填写姓名"),
        ({"role-operator": ""}, "请至少选择一个角色"),
        ({"division": "15010"}, "请填写省、市、县区、乡镇或村的代码"),
        ({"division": "150199"}, "没有这个行政区划"),
        ({"division": "没有这个地方"}, "没有这个行政区划"),
        ({"division": "东胜区"}, "没有这个行政区划"),
        ({"division": "社区"}, "有几个同名的行政区划"),
        ({"division": "15"}, "这个区划不在您负责的区域内"),
        ({"division": ""}, "这个区划不在您负责的区域内"),
    ],
)
async def test_what_is_wrong_is_said_and_what_was_typed_stays(
    admin: Browser, db: Database, fields: dict[str, str], sentence: str
) -> None:
    assert await create(admin, **fields) == 422
    assert sentence in admin.text
    assert "还没有保存，请改正下面几处" in admin.text
    for name, value in ({"display_name": "赵敏", "username": "zhao.min"} | fields).items():
        if value.strip() and not name.startswith("role"):
            assert f'value="{value}"' in admin.page
    async with db.connection() as conn:
        assert await fetch_value(conn, "SELECT count(*) FROM user_account") == 1


async def test_several_mistakes_are_all_said_at_once(admin: Browser) -> None:
    assert await create(admin, username="x", division="150199", **{"role-operator": ""}) == 422
    summary = re.search(r'class="error-summary".*?</ul>', admin.page, re.S)
    assert summary
    assert re.findall(r'href="#(\w+)"', summary[0]) == ["roles", "username", "division"]
    for name in ("roles", "username", "division"):
        assert f'id="{name}"' in admin.page


async def test_the_list_searches_filters_and_counts(
    admin: Browser, make_user: MakeUser, open_browser: Open
) -> None:
    await make_user("zhao.min", name="赵敏")
    await make_user("batu", Role.DEVICE_TECHNICIAN, name="巴图")
    await make_user("far.away", name="鄂尔多斯", division="1506")
    for _ in range(5):
        await open_browser().log_in("batu", "wrong")

    async def names(query: str) -> list[str]:
        await admin.open(f"{STAFF}?{query}")
        return re.findall(r'<th scope="row"[^>]*><a href="[^"]*">([^<]*)<', admin.page)

    assert sorted(await names("")) == sorted(["系统管理员", "赵敏", "巴图"])
    found = await admin.submit(f"{STAFF}/find", q="赵")
    assert await names(found.headers["location"].partition("?")[2]) == ["赵敏"]
    assert await names("role=device_technician") == ["巴图"]
    assert await names("state=locked") == ["巴图"]
    assert await names("q=%25") == []
    assert "没有符合条件的账号" in admin.text
    assert await names("sort=-username") == ["赵敏", "巴图", "系统管理员"]
    assert len(await names("page=99")) == 3


async def test_names_are_text_and_never_markup(admin: Browser, make_user: MakeUser) -> None:
    user = await make_user("sneaky", name="<script>alert(1)</script>")
    for path in (STAFF, f"{STAFF}/{user.id}"):
        await admin.open(path)
        assert "<script>alert" not in admin.page
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in admin.page


async def test_an_account_is_edited_and_its_sessions_end(
    admin: Browser, make_user: MakeUser, open_browser: Open
) -> None:
    user = await make_user("zhao.min", name="赵敏")
    person = open_browser()
    await person.log_in("zhao.min")
    await admin.open(f"{STAFF}/{user.id}")
    assert 'name="version" value="1"' in admin.page
    response = await admin.submit(
        f"{STAFF}/{user.id}",
        version="1",
        display_name="赵敏敏",
        division="150103",
        **{"role-operator": "1", "role-supervisor": "1"},
    )
    assert response.headers["location"] == f"{STAFF}/{user.id}?done=saved"
    await admin.open(response.headers["location"])
    assert "已保存" in admin.text
    assert "赵敏敏" in admin.text
    assert "回民区" in admin.text
    assert (await person.get("/account")).status_code == 303


async def test_who_saves_an_old_page_is_told_and_overwrites_nothing(
    admin: Browser, make_user: MakeUser, db: Database
) -> None:
    user = await make_user("zhao.min", name="赵敏")
    await admin.open(f"{STAFF}/{user.id}")
    async with db.transaction() as tx:
        await execute(
            tx,
            "UPDATE user_account SET display_name = '别人改的', version = 2 WHERE id = %s",
            (user.id,),
        )
    response = await admin.submit(
        f"{STAFF}/{user.id}",
        version="1",
        display_name="我改的",
        division="1501",
        **{"role-operator": "1"},
    )
    assert response.status_code == 409
    assert "这个账号刚刚被别人修改过" in admin.text
    await admin.open(f"{STAFF}/{user.id}")
    assert "别人改的" in admin.text


async def test_nobody_gives_rights_to_themselves(
    admin: Browser, make_user: MakeUser, db: Database
) -> None:
    async with db.connection() as conn:
        own = await fetch_value(conn, "SELECT id FROM user_account WHERE username = 'admin.city'")
    await admin.open(f"{STAFF}/{own}")
    assert 'name="role-auditor"' not in admin.page
    assert 'name="disabled"' not in admin.page
    forged = {"role-administrator": "1", "role-auditor": "1", "disabled": "1"}
    response = await admin.submit(
        f"{STAFF}/{own}", version="1", display_name="我", division="150102", **forged
    )
    assert response.status_code == 422
    assert "不能修改自己的角色或区域" in admin.text


async def test_an_account_outside_of_the_division_does_not_exist(
    admin: Browser, make_user: MakeUser
) -> None:
    user = await make_user("far.away", division="1506")
    above = await make_user("above", division="15")
    await admin.open(STAFF)
    token = admin.token
    for one in (user, above):
        assert (await admin.open(f"{STAFF}/{one.id}")).status_code == 404
        admin.page = f'name="_csrf" value="{token}"'
        for action in ("", "/password", "/unlock", "/sessions/end", "/duty"):
            response = await admin.submit(f"{STAFF}/{one.id}{action}", on_duty="1")
            assert response.status_code == 404
            admin.page = f'name="_csrf" value="{token}"'
    assert (await admin.open(f"{STAFF}/not-an-id")).status_code == 404
    assert "找不到这一页" in admin.page
    assert "UUID" not in admin.page


async def test_every_action_needs_the_sessions_token(admin: Browser, make_user: MakeUser) -> None:
    user = await make_user("zhao.min")
    for action in ("", "/password", "/unlock", "/sessions/end", "/duty"):
        admin.page = ""
        assert (await admin.submit(f"{STAFF}/{user.id}{action}", on_duty="1")).status_code == 403
    admin.page = ""
    assert (await admin.submit(STAFF, username="evil")).status_code == 403


async def test_a_lock_is_shown_and_ended(
    admin: Browser, make_user: MakeUser, open_browser: Open
) -> None:
    user = await make_user("zhao.min")
    for _ in range(5):
        await open_browser().log_in("zhao.min", "wrong")
    await admin.open(f"{STAFF}/{user.id}")
    assert "账号已锁定到 今天 22:18" in admin.text
    response = await admin.submit(f"{STAFF}/{user.id}/unlock")
    await admin.open(response.headers["location"])
    assert "已解除锁定" in admin.text
    assert (await open_browser().log_in("zhao.min")).status_code == 303


async def test_a_password_is_reset_and_shown_once(
    admin: Browser, make_user: MakeUser, open_browser: Open
) -> None:
    user = await make_user("zhao.min")
    person = open_browser()
    await person.log_in("zhao.min")
    await admin.open(f"{STAFF}/{user.id}")
    assert "正在登录的地方" in admin.text
    response = await admin.submit(f"{STAFF}/{user.id}/password")
    assert response.headers["cache-control"] == "no-store"
    secret = secret_in(admin.page)
    assert (await person.get("/account")).status_code == 303
    assert (await open_browser().log_in("zhao.min", PASSWORD)).status_code == 401
    assert (await open_browser().log_in("zhao.min", secret)).status_code == 303


async def test_sessions_are_ended_and_duty_is_set(
    admin: Browser, make_user: MakeUser, open_browser: Open, clock: Clock
) -> None:
    user = await make_user("zhao.min")
    person = open_browser()
    await person.log_in("zhao.min")
    await admin.open(f"{STAFF}/{user.id}")
    await admin.submit(f"{STAFF}/{user.id}/sessions/end")
    assert (await person.get("/account")).status_code == 303
    response = await admin.submit(f"{STAFF}/{user.id}/duty", on_duty="1")
    clock.advance(minutes=1)
    await admin.open(response.headers["location"])
    assert "已设为在岗" in admin.text
    assert "现在没有在任何地方登录" in admin.text


async def test_the_pages_are_complete_in_english(
    admin: Browser, make_user: MakeUser, open_browser: Open
) -> None:
    user = await make_user("zhao.min", name="Zhao Min")
    await admin.open("/account")
    await admin.submit("/preferences", locale="en")
    for path in (STAFF, f"{STAFF}/new", f"{STAFF}/{user.id}", "/account", "/account/password"):
        assert (await admin.open(path)).status_code == 200
        # Names of people and places stay as they are.
        admin.page = re.sub(r"<option.*?</option>", "", admin.page, flags=re.S)
        left = re.sub(r"语言|中文|内蒙古自治区|呼和浩特市|系统管理员", "", admin.text)
        assert re.findall(r"[一-鿿]+", left) == [], path


async def test_what_no_database_takes_is_left_out_of_an_account(admin: Browser) -> None:
    assert await create(admin, display_name="赵\0敏", username="zhao\0.min") == 200
    assert "赵敏" in admin.text
    refused = await admin.submit(f"{STAFF}/{uuid.UUID(int=1)}", version="9" * 5000)
    assert refused.status_code == 404
