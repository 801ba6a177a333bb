"""Links that open a phone's map at a place, in the datum that this map draws.

Positions are kept in WGS-84. Maps of mainland China draw GCJ-02, which lies some hundred metres
beside it: a link with the wrong one sends help to the next street. Nothing is loaded from a map
before somebody taps the link, and nothing but the place goes along.
"""

from enum import StrEnum
from urllib.parse import urlencode

from kernel.geo import wgs84_to_gcj02


class MapApp(StrEnum):
    """Which map a link opens; NONE shows the place in figures."""

    NONE = "none"
    GEO = "geo"
    AMAP = "amap"
    BAIDU = "baidu"


def map_link(app: MapApp, lat: float, lon: float, name: str, user_agent: str = "") -> str:
    """Return the address of a place given in WGS-84 degrees, "" for no map.

    `geo` is what the phone itself opens (RFC 5870, which is WGS-84); iPhones do not know it and get
    Apple's map, whose China is AutoNavi's and drawn in GCJ-02. `amap` and `baidu` open the app
    where it is installed, else the web. `name` is what the mark is called: never a person's.
    """
    if app is MapApp.NONE:
        return ""
    east_lat, east_lon = (f"{degrees:.6f}" for degrees in wgs84_to_gcj02(lat, lon))
    if app is MapApp.AMAP:
        place = f"{east_lon},{east_lat},{name}"
        query = {"to": place, "coordinate": "gaode", "callnative": "1", "src": "silverline"}
        return f"https://uri.amap.com/navigation?{urlencode(query)}"
    if app is MapApp.BAIDU:
        query = {
            "location": f"{east_lat},{east_lon}", "title": name, "content": name,
            "coord_type": "gcj02", "output": "html", "src": "silverline",
        }  # fmt: skip
        return f"https://api.map.baidu.com/marker?{urlencode(query)}"
    if "iPhone" in user_agent or "iPad" in user_agent:
        return f"maps://?daddr={east_lat},{east_lon}"
    at = f"{lat:.6f},{lon:.6f}"
    return f"geo:{at}?q={at}"
