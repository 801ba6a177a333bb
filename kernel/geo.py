"""Places on the ground: distances in metres on WGS-84, and GCJ-02 for Chinese map tiles."""

from math import asin, cos, pi, radians, sin, sqrt

_EARTH_M = 6_371_008.8
_GCJ_A = 6_378_245.0
_GCJ_EE = 0.006_693_421_622_965_943


def distance_m(lat1: float, lon1: float, lat2: float, lon2: float) -> float:
    """Return the great-circle distance in metres between two points in degrees."""
    dlat, dlon = radians(lat2 - lat1), radians(lon2 - lon1)
    a = sin(dlat / 2) ** 2 + cos(radians(lat1)) * cos(radians(lat2)) * sin(dlon / 2) ** 2
    return 2 * _EARTH_M * asin(min(1.0, sqrt(a)))


def outside_china(lat: float, lon: float) -> bool:
    """True where GCJ-02 does not shift (a box around the country, as the maps use it)."""
    return not (72.004 <= lon <= 137.8347 and 0.8293 <= lat <= 55.8271)


def wgs84_to_gcj02(lat: float, lon: float) -> tuple[float, float]:
    """Return the position as Chinese map tiles draw it; outside of China unchanged."""
    if outside_china(lat, lon):
        return lat, lon
    x, y = lon - 105.0, lat - 35.0
    wave = (20 * sin(6 * x * pi) + 20 * sin(2 * x * pi)) * 2 / 3
    dlat = -100 + 2 * x + 3 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * sqrt(abs(x)) + wave
    dlat += (20 * sin(y * pi) + 40 * sin(y / 3 * pi)) * 2 / 3
    dlat += (160 * sin(y / 12 * pi) + 320 * sin(y * pi / 30)) * 2 / 3
    dlon = 300 + x + 2 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * sqrt(abs(x)) + wave
    dlon += (20 * sin(x * pi) + 40 * sin(x / 3 * pi)) * 2 / 3
    dlon += (150 * sin(x / 12 * pi) + 300 * sin(x / 30 * pi)) * 2 / 3
    rad = radians(lat)
    magic = 1 - _GCJ_EE * sin(rad) ** 2
    dlat = dlat * 180 / ((_GCJ_A * (1 - _GCJ_EE)) / (magic * sqrt(magic)) * pi)
    dlon = dlon * 180 / (_GCJ_A / sqrt(magic) * cos(rad) * pi)
    return lat + dlat, lon + dlon
