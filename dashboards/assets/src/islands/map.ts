// The map of an incident: home, device and responders with age and accuracy; tiles are optional.
//
//   <div class="map" data-map data-markers='[{"kind":"home|device|tracker|responder","lat":40.84,"lon":111.75,
//        "label":"…","accuracy":12,"at":"ISO","detail":"…"}]'
//        data-tiles="https://…/{z}/{x}/{y}.png" data-attribution="…" data-datum="gcj02">
//     <div class="map-canvas"></div><ul class="map-list"></ul>
//   </div>
//
// With data-src (JSON: the markers) and data-incident it is drawn again when that incident changes; the
// part of the map that somebody has moved to stays in sight.
//
// Without tiles it is a metric grid around the home. Distances are from the first marker of kind
// home (else the first). The list under the map says the same in words.
import L from "leaflet";
import { ageText } from "./ages";
import { icon, make } from "./dom";
import { bearing, degreeMetres, distance, niceStep, toGcj02, type Place } from "./geo";
import { t } from "./words";

type Marker = Place & {
  kind: "home" | "device" | "tracker" | "responder";
  label: string;
  accuracy?: number | null;
  at?: string | null;
  detail?: string;
};

// A device is where an alarm came from; a tracker is a device when nothing is wrong.
const ICONS = { home: "home", device: "alarm", tracker: "device-watch", responder: "ambulance" };
const GRID_PX = 72;

function metresText(metres: number): string {
  if (metres < 995) return t("{n} 米", { n: metres < 100 ? Math.round(metres) : Math.round(metres / 10) * 10 });
  return t("{n} 公里", { n: (metres / 1000).toFixed(1) });
}

function directionText(degrees: number): string {
  const names = [t("北"), t("东北"), t("东"), t("东南"), t("南"), t("西南"), t("西"), t("西北")];
  return names[Math.round(degrees / 45) % 8] ?? "";
}

/** Everything that is known of a position, in words; its age goes on by itself. */
function describe(marker: Marker, home: Marker): (Node | string)[] {
  const parts: (Node | string)[] = [];
  if (marker !== home) {
    const metres = distance(home, marker);
    const where = metres < 15 ? t("在家") : `${directionText(bearing(home, marker))} ${metresText(metres)}`;
    parts.push(where);
  }
  if (marker.accuracy) parts.push(t("误差约 {distance}", { distance: metresText(marker.accuracy) }));
  if (marker.at) parts.push(make("time", { datetime: marker.at, "data-ago": "" }, ageText(new Date(marker.at))));
  if (marker.detail) parts.push(marker.detail);
  return parts.flatMap((part, index) => (index ? [" · ", part] : [part]));
}

/** An empty answer ends the following (it is resolved): who was sent or near is then no news any more. */
function withoutTheGone(text: string, drawn: string): string {
  if ((JSON.parse(text) as Marker[]).length > 0) return text;
  const left = (JSON.parse(drawn) as Marker[]).filter((one) => one.kind !== "responder");
  return left.length > 0 ? JSON.stringify(left) : drawn;
}

type ScaleBar = L.Control.Scale & { _updateScale: (line: HTMLElement, text: string, ratio: number) => void };

/** Leaflet's scale writes m and km; ours writes them as the distances beside the map are written. */
export function scaleBar(): L.Control {
  const bar = L.control.scale({ imperial: false, maxWidth: 120 }) as ScaleBar;
  const draw = bar._updateScale.bind(bar);
  bar._updateScale = (line, text, ratio) => {
    const [n = "", unit] = text.split(" ");
    draw(line, unit === "km" ? t("{n} 公里", { n }) : t("{n} 米", { n }), ratio);
  };
  return bar;
}

/** A metric grid of thin lines through the home, redrawn after each move. */
export class MetricGrid extends L.LayerGroup {
  constructor(private home: Place) {
    super();
  }

  override onAdd(map: L.Map): this {
    super.onAdd(map);
    map.on("moveend zoomend resize", this.draw, this);
    this.draw();
    return this;
  }

  override onRemove(map: L.Map): this {
    map.off("moveend zoomend resize", this.draw, this);
    return super.onRemove(map);
  }

  private draw(): void {
    const map = this._map;
    if (!map) return;
    this.clearLayers();
    const bounds = map.getBounds().pad(0.1);
    const unit = degreeMetres(this.home);
    const size = map.getSize();
    const metresPerPixel = ((bounds.getEast() - bounds.getWest()) * unit.lon) / (size.x * 1.2);
    if (!(metresPerPixel > 0)) return;
    const step = niceStep(metresPerPixel * GRID_PX);
    const line = (points: L.LatLngTuple[]): void => {
      this.addLayer(L.polyline(points, { interactive: false, className: "map-grid", weight: 1 }));
    };
    const stepLat = step / unit.lat;
    const stepLon = step / unit.lon;
    const first = (edge: number, origin: number, by: number): number => origin + Math.ceil((edge - origin) / by) * by;
    for (let lat = first(bounds.getSouth(), this.home.lat, stepLat); lat < bounds.getNorth(); lat += stepLat) {
      line([[lat, bounds.getWest()], [lat, bounds.getEast()]]);
    }
    for (let lon = first(bounds.getWest(), this.home.lon, stepLon); lon < bounds.getEast(); lon += stepLon) {
      line([[bounds.getSouth(), lon], [bounds.getNorth(), lon]]);
    }
  }
}

class IncidentMap {
  private map: L.Map;
  private shown = L.layerGroup();
  private gcj: boolean;
  private watcher: ResizeObserver;
  private based = false;
  private moved = false;
  private asking = false;
  private askAgain = false;

  constructor(private root: HTMLElement) {
    const canvas = root.querySelector<HTMLElement>(".map-canvas") ?? root;
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.gcj = root.dataset["datum"] === "gcj02";
    this.map = L.map(canvas, {
      attributionControl: false,
      zoomControl: false,
      fadeAnimation: !still,
      zoomAnimation: !still,
      markerZoomAnimation: !still,
      scrollWheelZoom: false,
      maxZoom: 19,
    });
    L.control.zoom({ zoomInTitle: t("放大"), zoomOutTitle: t("缩小") }).addTo(this.map);
    scaleBar().addTo(this.map);
    this.northMark();
    this.shown.addTo(this.map);
    this.render();
    this.map.on("dragstart zoomstart", () => (this.moved = true));
    if (root.dataset["src"]) root.addEventListener("incident-changed", () => void this.follow());
    this.watcher = new ResizeObserver(() => {
      if (this.root.isConnected) this.map.invalidateSize();
      else this.dispose();
    });
    this.watcher.observe(canvas);
  }

  private northMark(): void {
    const control = new L.Control({ position: "topright" });
    control.onAdd = () => make("div", { class: "map-north" }, t("北 ↑"));
    control.addTo(this.map);
  }

  private at(place: Place): L.LatLngTuple {
    const { lat, lon } = this.gcj ? toGcj02(place) : place;
    return [lat, lon];
  }

  /** One question at a time: of two that are under way the older answer could come last and stay. */
  private async follow(): Promise<void> {
    this.askAgain = true;
    if (this.asking) return;
    this.asking = true;
    while (this.askAgain && this.root.isConnected) {
      this.askAgain = false;
      await this.ask();
    }
    this.asking = false;
  }

  /** Ask where everybody is now; what was drawn stays when there is no answer. */
  private async ask(): Promise<void> {
    try {
      const response = await fetch(this.root.dataset["src"] ?? "", { headers: { Accept: "application/json" } });
      if (!response.ok) return;
      const text = withoutTheGone(await response.text(), this.root.dataset["markers"] ?? "[]");
      if (text === this.root.dataset["markers"]) return;
      this.root.dataset["markers"] = text;
    } catch {
      return;
    }
    if (this.root.isConnected) this.render();
  }

  private render(): void {
    const markers = JSON.parse(this.root.dataset["markers"] ?? "[]") as Marker[];
    const home = markers.find((marker) => marker.kind === "home") ?? markers[0];
    this.shown.clearLayers();
    if (!home) {
      this.root.dataset["state"] = "empty";
      this.root.querySelector(".map-list")?.replaceChildren(make("li", { class: "quiet" }, t("还没有收到位置。")));
      return;
    }
    const tiles = this.root.dataset["tiles"];
    if (tiles && !this.based) {
      L.tileLayer(tiles, { maxZoom: 19 }).addTo(this.map);
      L.control.attribution({ prefix: false }).addAttribution(this.root.dataset["attribution"] ?? "").addTo(this.map);
    } else if (!tiles) {
      const [lat, lon] = this.at(home);
      this.shown.addLayer(new MetricGrid({ lat, lon }));
    }
    for (const marker of markers) this.draw(marker);
    this.list(markers, home);
    const bounds = L.latLngBounds(markers.map((marker) => this.at(marker)));
    if (!this.moved) {
      this.map.fitBounds(bounds, { padding: [48, 48], maxZoom: 16, animate: false });
      // Fitting is a move of ours, not of the person.
      this.moved = false;
    }
    this.based = true;
    this.root.dataset["state"] = "ready";
  }

  private draw(marker: Marker): void {
    const place = this.at(marker);
    if (marker.accuracy) {
      const circle = { radius: marker.accuracy, interactive: false, className: "map-accuracy", weight: 1 };
      this.shown.addLayer(L.circle(place, circle));
    }
    const dot = make("span", { class: "map-dot" }, icon(ICONS[marker.kind]));
    const pin = make("div", { class: `map-pin map-${marker.kind}` }, dot, make("span", { class: "map-label" }, marker.label));
    const shape = L.divIcon({ className: "map-marker", html: pin, iconSize: [24, 24], iconAnchor: [12, 12] });
    const zIndexOffset = { home: 0, responder: 500, tracker: 1000, device: 1000 }[marker.kind];
    this.shown.addLayer(L.marker(place, { icon: shape, keyboard: false, interactive: false, zIndexOffset }));
  }

  private list(markers: Marker[], home: Marker): void {
    const items = markers.map((marker) =>
      make("li", { "data-kind": marker.kind }, make("strong", {}, marker.label), make("span", { class: "quiet" }, ...describe(marker, home))),
    );
    this.root.querySelector(".map-list")?.replaceChildren(...items);
  }

  private dispose(): void {
    this.watcher.disconnect();
    this.map.remove();
  }
}

export function mountMap(root: HTMLElement): void {
  new IncidentMap(root);
}
