// Where the silent devices are: thousands of places, drawn as clusters of what lies close together.
//
//   <div class="map" data-fleet-map data-src="/…json" data-live="device" data-tiles="…" data-datum="gcj02">
//     <div class="map-canvas"></div><p class="map-note"></p>
//   </div>
//
// data-src answers {"spots": [[id, lat, lon, since (ISO), model], …], "complete": true, "silent": n}.
// Without tiles it is a metric grid, north up, with a scale. A cluster is a button that goes closer; a
// single device is a link to its page. Asked for again after events of devices, at most every ten
// seconds. Where there is nothing to draw, a sentence stands there alone: the canvas is shown, and the
// map made, with the first place.
import L from "leaflet";
import { ageText } from "./ages";
import { make } from "./dom";
import { toGcj02 } from "./geo";
import { MetricGrid, scaleBar } from "./map";
import { t } from "./words";

type Spot = [id: string, lat: number, lon: number, since: string, model: string];
type Answer = { spots: Spot[]; complete: boolean; silent: number };
type Cell = { spots: Spot[]; x: number; y: number };

const CELL_PX = 64;
const CLOSEST = 18;
const AGAIN_MS = 10_000;

class FleetMap {
  private map: L.Map | null = null;
  private shown = L.layerGroup();
  private grid: MetricGrid | null = null;
  private spots: Spot[] = [];
  private places: L.LatLng[] = [];
  private gcj: boolean;
  private text = "";
  private timer = 0;
  private watcher: ResizeObserver;

  constructor(private root: HTMLElement) {
    this.gcj = root.dataset["datum"] === "gcj02";
    root.addEventListener("live", () => this.soon());
    this.watcher = new ResizeObserver(() => {
      if (this.root.isConnected) this.map?.invalidateSize();
      else this.dispose();
    });
    this.watcher.observe(root);
    void this.load();
  }

  private made(): L.Map {
    const canvas = this.root.querySelector<HTMLElement>(".map-canvas") ?? this.root;
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const map = L.map(canvas, {
      attributionControl: false,
      zoomControl: false,
      fadeAnimation: !still,
      zoomAnimation: !still,
      scrollWheelZoom: false,
      maxZoom: CLOSEST,
      center: [40.84, 111.75],
      zoom: 10,
    });
    L.control.zoom({ zoomInTitle: t("放大"), zoomOutTitle: t("缩小") }).addTo(map);
    scaleBar().addTo(map);
    const { tiles, attribution } = this.root.dataset;
    if (tiles) {
      L.tileLayer(tiles, { maxZoom: CLOSEST }).addTo(map);
      L.control.attribution({ prefix: false }).addAttribution(attribution ?? "").addTo(map);
    }
    this.shown.addTo(map);
    map.on("moveend", () => this.draw());
    return map;
  }

  private soon(): void {
    if (this.timer) return;
    this.timer = window.setTimeout(() => {
      this.timer = 0;
      if (this.root.isConnected) void this.load();
    }, AGAIN_MS);
  }

  private async load(): Promise<void> {
    try {
      const response = await fetch(this.root.dataset["src"] ?? "", { headers: { Accept: "application/json" } });
      if (!response.ok) throw new Error(String(response.status));
      const text = await response.text();
      if (text === this.text) return;
      this.text = text;
      this.take(JSON.parse(text) as Answer);
    } catch {
      if (!this.text) this.say("failed", t("位置没有取到，请稍后刷新。"));
    }
  }

  private take(answer: Answer): void {
    this.spots = answer.spots;
    this.places = answer.spots.map(([, lat, lon]) => {
      const place = this.gcj ? toGcj02({ lat, lon }) : { lat, lon };
      return L.latLng(place.lat, place.lon);
    });
    if (this.spots.length === 0) {
      this.shown.clearLayers();
      this.say("empty", answer.silent > 0 ? t("静默的设备都没有已知的位置，请看清单。") : t("现在没有静默的设备。有设备失去联系时，这里会画出它们在哪里。"));
      return;
    }
    const again = this.root.dataset["state"] === "ready";
    const count = t("{n} 台静默设备有位置。点圆圈放大，点单台打开设备页。", { n: this.spots.length });
    this.say("ready", answer.complete ? count : `${count} ${t("设备太多，只画了最近静默的。")}`);
    this.map ??= this.made();
    // What somebody has gone closer to stays in sight.
    if (!again) this.fit(this.map);
    this.draw();
  }

  private fit(map: L.Map): void {
    const bounds = L.latLngBounds(this.places);
    map.invalidateSize();
    map.fitBounds(bounds, { padding: [32, 32], maxZoom: 15, animate: false });
    if (this.root.dataset["tiles"]) return;
    const { lat, lng } = bounds.getCenter();
    this.grid?.remove();
    this.grid = new MetricGrid({ lat, lon: lng }).addTo(map);
  }

  private say(state: string, text: string): void {
    this.root.dataset["state"] = state;
    const note = this.root.querySelector(".map-note");
    // What stands there already is not read aloud again.
    if (note && note.textContent !== text) note.replaceChildren(text);
  }

  /** Everything in sight, put into cells of the screen's own grid at this zoom. */
  private draw(): void {
    this.shown.clearLayers();
    const map = this.map;
    if (!map) return;
    const bounds = map.getBounds().pad(0.2);
    const zoom = map.getZoom();
    const cells = new Map<string, Cell>();
    this.places.forEach((place, index) => {
      const spot = this.spots[index];
      if (!spot || !bounds.contains(place)) return;
      const point = map.project(place, zoom);
      const key = `${Math.floor(point.x / CELL_PX)}:${Math.floor(point.y / CELL_PX)}`;
      const cell = cells.get(key) ?? { spots: [], x: 0, y: 0 };
      cell.spots.push(spot);
      cell.x += point.x;
      cell.y += point.y;
      cells.set(key, cell);
    });
    for (const cell of cells.values()) this.drawCell(map, cell);
    this.root.dataset["clusters"] = String(cells.size);
  }

  private drawCell(map: L.Map, cell: Cell): void {
    const count = cell.spots.length;
    const place = map.unproject([cell.x / count, cell.y / count], map.getZoom());
    const [first] = cell.spots;
    if (!first) return;
    const single = count === 1;
    const size = single ? 24 : Math.min(56, 28 + 6 * Math.log10(count) * 2);
    const html = single ? make("span", { class: "map-spot" }) : make("span", { class: "map-cluster" }, String(count));
    const text = single
      ? t("{id} {model}，{since}", { id: first[0], model: first[4], since: ageText(new Date(first[3])) })
      : t("{n} 台设备，点一下放大", { n: count });
    const shape = L.divIcon({ className: "map-marker", html, iconSize: [size, size] });
    const marker = L.marker(place, { icon: shape, title: text, alt: text, keyboard: true });
    marker.on("click", () => (single ? this.open(first[0]) : this.closer(map, place, cell)));
    this.shown.addLayer(marker);
    // Leaflet names a marker by its image's alt, which a div has not.
    marker.getElement()?.setAttribute("aria-label", text);
  }

  private open(id: string): void {
    const link = make("a", { href: `/console/devices/${encodeURIComponent(id)}`, hidden: "" });
    this.root.append(link);
    link.click();
    link.remove();
  }

  private closer(map: L.Map, place: L.LatLng, cell: Cell): void {
    if (map.getZoom() < CLOSEST) map.setView(place, Math.min(CLOSEST, map.getZoom() + 2));
    // In one house: no zoom parts them, so they are named.
    else this.say("ready", cell.spots.map(([id]) => id).join("、"));
  }

  private dispose(): void {
    clearTimeout(this.timer);
    this.watcher.disconnect();
    this.map?.remove();
  }
}

export function mountFleetMap(root: HTMLElement): void {
  new FleetMap(root);
}
