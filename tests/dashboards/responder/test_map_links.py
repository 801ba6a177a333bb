"""The link to a map leads to the place itself, not to the next street."""

from dataclasses import replace
from html import unescape
from urllib.parse import parse_qs, urlsplit

import pytest
from fastapi import FastAPI

from dashboards.portal.maps import MapApp, map_link
from kernel.geo import distance_m, wgs84_to_gcj02
from tests.dashboards.responder.conftest import Task
from tests.hotline.serving import Site

HOME = (40.857000, 111.690000)
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X)"


def shifted(lat: float, lon: float) -> bool:
    """Whether a position is the home as a map of China draws it."""
    return (
        200 < distance_m(lat, lon, *HOME) < 900 and distance_m(lat, lon, *wgs84_to_gcj02(*HOME)) < 1
    )


def test_the_phones_own_map_gets_the_position_as_it_is() -> None:
    assert (
        map_link(MapApp.GEO, *HOME, "目的地") == "geo:40.857000,111.690000?q=40.857000,111.690000"
    )
    assert map_link(MapApp.NONE, *HOME, "目的地") == ""


def test_maps_of_china_get_the_position_as_they_draw_it() -> None:
    amap = parse_qs(urlsplit(map_link(MapApp.AMAP, *HOME, "目的地")).query)
    lon, lat, name = amap["to"][0].split(",")
    assert (shifted(float(lat), float(lon)), name, amap["coordinate"]) == (
        True,
        "目的地",
        ["gaode"],
    )
    baidu = parse_qs(urlsplit(map_link(MapApp.BAIDU, *HOME, "目的地")).query)
    lat, lon = baidu["location"][0].split(",")
    assert (shifted(float(lat), float(lon)), baidu["coord_type"]) == (True, ["gcj02"])
    lat, lon = map_link(MapApp.GEO, *HOME, "", IPHONE).removeprefix("maps://?daddr=").split(",")
    assert shifted(float(lat), float(lon))


def test_outside_of_china_nothing_is_shifted() -> None:
    link = map_link(MapApp.AMAP, 47.918900, 106.917600, "goal")
    assert wgs84_to_gcj02(35.6812, 139.7671) == (35.6812, 139.7671)
    assert "47.9" in link


@pytest.mark.parametrize(
    ("app", "beginning"),
    [("geo", "geo:40.857000,111.690000"), ("amap", "https://uri.amap.com/navigation?to=111.69")],
)
async def test_the_page_has_the_link_of_the_configured_map_and_names_nobody(
    app: str, beginning: str, site: Site, task: Task
) -> None:
    use(site, app)
    page = unescape((await task.phone.get(task.path)).text)
    [link] = [part.split('"')[0] for part in page.split('href="') if part.startswith(beginning)]
    assert "李" not in parse_qs(urlsplit(link).query).get("to", [""])[0]
    assert 'rel="noreferrer noopener"' in page


async def test_without_a_map_the_page_says_the_position(site: Site, task: Task) -> None:
    use(site, "none")
    page = (await task.phone.get(task.path)).text
    assert "40.857000，111.690000" in page
    assert "地图导航" not in page


def use(site: Site, app: str) -> None:
    served = site.server.config.app
    assert isinstance(served, FastAPI)
    served.state.context = replace(served.state.context, map_app=app)
