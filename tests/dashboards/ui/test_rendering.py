"""Templates and their environment: strict, escaped, nothing inline; lists keep their place."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from jinja2 import UndefinedError
from starlette.requests import Request

from dashboards.ui.assets import Assets, AssetsMissing
from dashboards.ui.csp import CSP_HEADER, content_security_policy
from dashboards.ui.environment import DASHBOARDS, Pages, UiSettings
from dashboards.ui.listing import Listing
from dashboards.ui.preferences import chosen_preferences, safe_next
from dashboards.ui.view import View, view_of
from kernel.auth.model import Actor

NOW = datetime(2026, 3, 5, 14, 3, tzinfo=UTC)


@pytest.fixture(scope="module")
def pages(built_assets: None, tmp_path_factory: pytest.TempPathFactory) -> Pages:
    folder = tmp_path_factory.mktemp("templates")
    (folder / "name.html").write_text(
        '{% from "ui/card.html" import definitions %}{{ definitions([("a", name)]) }}'
    )
    (folder / "missing.html").write_text("{{ nobody_set_this }}")
    (folder / "token.html").write_text(
        '{% from "ui/form.html" import csrf_field %}{{ csrf_field() }}'
    )
    return Pages(UiSettings(), Assets(), {"test": folder})


def request_with(headers: dict[str, str], path: str = "/console", query: str = "") -> Request:
    raw = [(k.lower().encode(), v.encode()) for k, v in headers.items()]
    return Request(
        {
            "type": "http",
            "method": "GET",
            "path": path,
            "query_string": query.encode(),
            "headers": raw,
            "server": ("127.0.0.1", 8080),
            "scheme": "http",
        }
    )


def test_values_are_escaped_also_inside_macros(pages: Pages) -> None:
    text = pages.render("test/name.html", View(NOW), name="<script>")
    assert "&lt;script&gt;" in text
    assert "<script>" not in text


def test_a_forgotten_variable_is_an_error_and_not_an_empty_place(pages: Pages) -> None:
    with pytest.raises(UndefinedError):
        pages.render("test/missing.html", View(NOW))


def test_each_rendering_has_its_own_token(pages: Pages) -> None:
    one = pages.render("test/token.html", View(NOW, csrf_token="one"))
    two = pages.render("test/token.html", View(NOW, csrf_token="two"))
    assert 'value="one"' in one
    assert 'value="two"' in two


def test_answers_are_private_and_carry_the_policy(pages: Pages) -> None:
    answer = pages.response(request_with({}), "test/name.html", now=NOW, name="x")
    assert answer.headers["content-security-policy"] == CSP_HEADER
    assert answer.headers["cache-control"] == "no-store"
    assert "unsafe" not in CSP_HEADER


def test_a_tile_server_is_allowed_for_images_only() -> None:
    policy = content_security_policy("https://{s}.tiles.example/{z}/{x}/{y}.png")
    assert "img-src 'self' data: blob: https://*.tiles.example;" in policy
    assert policy.count("tiles.example") == 1
    assert content_security_policy("/tiles/{z}/{x}/{y}.png") == CSP_HEADER


def test_templates_have_nothing_inline() -> None:
    """The policy would refuse it at the operator's seat; here it is found before."""
    wrong = re.compile(
        r"\sstyle\s*=|<style|\son(click|change|input|submit|load|error|focus|blur|key\w+|mouse\w+|pointer\w+)\s*=|<script(?![^>]*\ssrc=)|javascript:|hx-on",
        re.I,
    )
    found = [
        f"{path.relative_to(DASHBOARDS)}: {match[0]}"
        for path in sorted(DASHBOARDS.glob("*/templates/**/*.html"))
        for match in wrong.finditer(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_the_frame_is_left_out_when_htmx_asks_for_main_alone(pages: Pages) -> None:
    asked = {"HX-Request": "true", "HX-Target": "main"}
    actor = Actor(None, "wang", "王芳", frozenset(), "15")
    whole = view_of(request_with({}), now=NOW, actor=actor)
    part = view_of(request_with(asked), now=NOW, actor=actor)
    restored = view_of(
        request_with({**asked, "HX-History-Restore-Request": "true"}), now=NOW, actor=actor
    )
    assert [whole.partial, part.partial, restored.partial] == [False, True, False]
    page = pages.render("console/error.html", part, status=404)
    assert page.lstrip().startswith("<title>")
    assert "<html" not in page
    assert 'id="page"' in page
    assert "<html" in pages.render("console/error.html", whole, status=404)


def test_a_person_s_own_choices_win_over_the_browser_s(pages: Pages) -> None:
    headers = {"cookie": "locale=en; theme=dark; size=nonsense", "accept-language": "en"}
    stranger = view_of(request_with(headers, "/login", "next=%2Fconsole"), now=NOW)
    assert (stranger.locale, stranger.theme, stranger.size) == ("en", "dark", "normal")
    assert stranger.path == "/login?next=%2Fconsole"
    actor = Actor(None, "wang", "王芳", frozenset(), "15", "zh", "light", "large")
    known = view_of(request_with(headers), now=NOW, actor=actor)
    assert (known.locale, known.theme, known.size) == ("zh-CN", "light", "large")


def test_the_rail_offers_only_what_the_person_may_do(pages: Pages) -> None:
    actor = Actor(None, "wang", "王芳", frozenset(), "15")
    view = View(NOW, actor=actor)
    assert "/console/audit" not in pages.render("console/error.html", view, status=404)
    settings = replace(pages.settings, sections=frozenset({"incidents"}))
    few = Pages(settings, pages.assets).render("console/error.html", view, status=404)
    assert "/console/elders" not in few


def test_preferences_take_known_values_only() -> None:
    form = {"theme": "dark", "size": "huge", "locale": "en", "role": "administrator"}
    assert chosen_preferences(form) == {"theme": "dark", "locale": "en"}


@pytest.mark.parametrize(
    ("target", "kept"),
    [
        ("/console?x=1", "/console?x=1"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("", "/"),
        (None, "/"),
    ],
)
def test_the_way_back_stays_on_this_site(target: object, kept: str) -> None:
    assert safe_next(target) == kept


def test_a_missing_build_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(AssetsMissing, match=r"tools/assets\.py build"):
        Assets(tmp_path)


def listing(query: dict[str, str], total: int = 1284) -> Listing:
    return Listing.from_query(
        "/console/elders", query, sorts=("name", "age"), filters=("q", "division")
    ).of(total)


def test_a_list_keeps_its_filters_while_it_is_sorted_and_paged() -> None:
    shown = listing({"q": " 李 ", "sort": "-age", "page": "3"})
    assert (shown.offset, shown.first, shown.last, shown.pages) == (100, 101, 150, 26)
    assert shown.url(page=4) == "/console/elders?q=%E6%9D%8E&sort=-age&page=4"
    assert shown.sort_url("age") == "/console/elders?q=%E6%9D%8E&sort=age"
    assert shown.sort_url("name") == "/console/elders?q=%E6%9D%8E&sort=name"
    assert shown.url() == "/console/elders?q=%E6%9D%8E&sort=-age&page=3"
    assert shown.shown_pages() == [1, 2, 3, 4, 5, None, 26]


@pytest.mark.parametrize("page", ["0", "-1", "x", "１", "99999999999"])
def test_a_nonsense_page_is_the_first(page: str) -> None:
    assert listing({"page": page, "sort": "drop table"}).offset == 0


def test_a_page_behind_the_end_is_the_last() -> None:
    assert listing({"page": "900"}).page == 26
    empty = listing({"page": "3"}, total=0)
    assert (empty.page, empty.first, empty.last, empty.pages) == (1, 0, 0, 1)
