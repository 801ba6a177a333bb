// Distances, directions and the shift that Chinese map tiles need. Degrees and metres.

export type Place = { lat: number; lon: number };

const EARTH = 6_371_008.8;
const rad = (degrees: number): number => (degrees * Math.PI) / 180;

/** Great-circle distance in metres (haversine). */
export function distance(a: Place, b: Place): number {
  const sinLat = Math.sin(rad(b.lat - a.lat) / 2);
  const sinLon = Math.sin(rad(b.lon - a.lon) / 2);
  const h = sinLat * sinLat + Math.cos(rad(a.lat)) * Math.cos(rad(b.lat)) * sinLon * sinLon;
  return 2 * EARTH * Math.asin(Math.min(1, Math.sqrt(h)));
}

/** Initial bearing from a to b in degrees, 0 is north, 90 east. */
export function bearing(a: Place, b: Place): number {
  const y = Math.sin(rad(b.lon - a.lon)) * Math.cos(rad(b.lat));
  const x =
    Math.cos(rad(a.lat)) * Math.sin(rad(b.lat)) -
    Math.sin(rad(a.lat)) * Math.cos(rad(b.lat)) * Math.cos(rad(b.lon - a.lon));
  return ((Math.atan2(y, x) * 180) / Math.PI + 360) % 360;
}

/** Metres of one degree of latitude and of longitude at a place. */
export function degreeMetres(place: Place): { lat: number; lon: number } {
  const lat = rad(1) * EARTH;
  return { lat, lon: lat * Math.cos(rad(place.lat)) };
}

/** WGS-84 to GCJ-02, the datum of map tiles of mainland China; outside of it nothing changes. */
export function toGcj02({ lat, lon }: Place): Place {
  if (lon < 72.004 || lon > 137.8347 || lat < 0.8293 || lat > 55.8271) return { lat, lon };
  const axis = 6_378_245;
  const eccentricity = 0.006693421622965943;
  const x = lon - 105;
  const y = lat - 35;
  const wave = (20 * Math.sin(6 * x * Math.PI) + 20 * Math.sin(2 * x * Math.PI)) * (2 / 3);
  let north = -100 + 2 * x + 3 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * Math.sqrt(Math.abs(x)) + wave;
  north += (20 * Math.sin(y * Math.PI) + 40 * Math.sin((y / 3) * Math.PI)) * (2 / 3);
  north += (160 * Math.sin((y / 12) * Math.PI) + 320 * Math.sin((y * Math.PI) / 30)) * (2 / 3);
  let east = 300 + x + 2 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * Math.sqrt(Math.abs(x)) + wave;
  east += (20 * Math.sin(x * Math.PI) + 40 * Math.sin((x / 3) * Math.PI)) * (2 / 3);
  east += (150 * Math.sin((x / 12) * Math.PI) + 300 * Math.sin((x / 30) * Math.PI)) * (2 / 3);
  const magic = 1 - eccentricity * Math.sin(rad(lat)) ** 2;
  const root = Math.sqrt(magic);
  return {
    lat: lat + (north * 180) / (((axis * (1 - eccentricity)) / (magic * root)) * Math.PI),
    lon: lon + (east * 180) / ((axis / root) * Math.cos(rad(lat)) * Math.PI),
  };
}

/** The next of 1, 2, 5 × 10ⁿ that is at least `wanted`. */
export function niceStep(wanted: number): number {
  const power = 10 ** Math.floor(Math.log10(wanted));
  const factor = [1, 2, 5, 10].find((candidate) => candidate * power >= wanted) ?? 10;
  return factor * power;
}
