// The chart of vital signs: one metric at a time, thresholds and alarms on it, a table behind it.
//
//   <div class="chart" data-chart data-src="/…json" data-metric="heart_rate">
//     <div class="chart-head"></div><div class="chart-canvas"></div>
//     <details><summary>…</summary><div class="chart-table"></div></details>
//   </div>
//
// data-state is loading, ready, empty or failed.
import { LineChart } from "echarts/charts";
import { AriaComponent, GridComponent, MarkLineComponent, TooltipComponent } from "echarts/components";
import { init, use, type EChartsType } from "echarts/core";
import { CanvasRenderer } from "echarts/renderers";
import { make } from "./dom";
import { niceStep } from "./geo";
import { labelPlaces, namedAlarms, tableRows, valueRange, withGaps, type ChartData, type Metric } from "./chart-data";
import { monthDayTime, t, timeOfDay } from "./words";

use([LineChart, AriaComponent, GridComponent, MarkLineComponent, TooltipComponent, CanvasRenderer]);

const TABLE_ROWS = 300;

type Colours = Record<"text" | "quiet" | "line" | "surface" | "accent" | "critical" | "major" | "minor" | "technical", string>;

/** Colours as the page has them now: the canvas cannot read CSS variables by itself. */
function colours(element: HTMLElement): Colours {
  const probe = make("span");
  element.append(probe);
  const read = (name: string): string => {
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color;
  };
  const found = {
    text: read("--text"),
    quiet: read("--text-quiet"),
    line: read("--line"),
    surface: read("--surface"),
    accent: read("--accent"),
    critical: read("--critical-text"),
    major: read("--major-text"),
    minor: read("--minor-text"),
    technical: read("--technical-text"),
  };
  probe.remove();
  return found;
}

function severityColour(palette: Colours, severity: string): string {
  return palette[severity as keyof Colours] ?? palette.quiet;
}

class VitalsChart {
  private chart: EChartsType | null = null;
  private data: ChartData | null = null;
  private metric: Metric | null = null;
  private canvas: HTMLElement;
  private watcher: ResizeObserver;
  private redraw = (): void => this.draw();

  constructor(private root: HTMLElement) {
    this.canvas = root.querySelector<HTMLElement>(".chart-canvas") ?? root;
    this.watcher = new ResizeObserver(() => this.chart?.resize());
    this.watcher.observe(this.canvas);
    document.addEventListener("silverline:theme", this.redraw);
    root.addEventListener("live", () => void this.load());
    void this.load();
  }

  private async load(): Promise<void> {
    this.root.dataset["state"] ??= "loading";
    try {
      const response = await fetch(this.root.dataset["src"] ?? "", { headers: { Accept: "application/json" } });
      if (!response.ok) throw new Error(String(response.status));
      this.data = (await response.json()) as ChartData;
    } catch {
      this.root.dataset["state"] = "failed";
      this.say(t("体征没有取到，请稍后刷新。"));
      return;
    }
    const wish = this.metric?.code ?? this.root.dataset["metric"];
    const filled = this.data.metrics.filter((metric) => metric.series.some((series) => series.points.length));
    this.metric = filled.find((metric) => metric.code === wish) ?? filled[0] ?? null;
    this.head(filled);
    this.draw();
  }

  private say(text: string): void {
    this.chart?.dispose();
    this.chart = null;
    this.canvas.replaceChildren(make("p", { class: "quiet" }, text));
  }

  private head(metrics: Metric[]): void {
    const buttons = metrics.map((metric) => {
      const pressed = String(metric === this.metric);
      const button = make("button", { type: "button", class: "btn btn-quiet btn-small", "aria-pressed": pressed }, metric.label);
      button.addEventListener("click", () => {
        this.metric = metric;
        for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
        this.draw();
      });
      return button;
    });
    this.root.querySelector(".chart-head")?.replaceChildren(...buttons);
  }

  private draw(): void {
    if (!this.root.isConnected) return this.dispose();
    if (!this.data) return;
    if (!this.metric) {
      this.root.dataset["state"] = "empty";
      this.say(t("这段时间没有收到体征读数。"));
      return;
    }
    if (!this.chart) {
      this.canvas.replaceChildren();
      this.chart = init(this.canvas, null, { renderer: "canvas" });
    }
    const options = chartOptions(this.data, this.metric, colours(this.root), this.canvas.clientHeight);
    this.chart.setOption(options as Parameters<EChartsType["setOption"]>[0], { notMerge: true });
    this.canvas.setAttribute("role", "img");
    this.canvas.setAttribute("aria-label", this.summary(this.metric));
    this.table(this.metric);
    this.root.dataset["state"] = "ready";
    this.root.dataset["metric"] = this.metric.code;
  }

  private summary(metric: Metric): string {
    const last = metric.series.map((series) => series.points.findLast((point) => point[1] !== null)?.[1] ?? "—");
    return t("{name}曲线，最近一次 {value} {unit}，表格在下方。", { name: metric.label, value: last.join("/"), unit: metric.unit });
  }

  private table(metric: Metric): void {
    const place = this.root.querySelector(".chart-table");
    const head = make("tr", {}, make("th", { scope: "col" }, t("时间")));
    for (const series of metric.series) {
      head.append(make("th", { scope: "col", class: "number" }, `${series.label} (${metric.unit})`));
    }
    const body = make("tbody");
    for (const [at, values] of tableRows(metric).slice(0, TABLE_ROWS)) {
      const row = make("tr", {}, make("td", {}, monthDayTime(new Date(at))));
      for (const value of values) row.append(make("td", { class: "number" }, value?.toFixed(metric.digits ?? 0) ?? "—"));
      body.append(row);
    }
    place?.replaceChildren(make("table", { class: "table" }, make("thead", {}, head), body));
  }

  private dispose(): void {
    document.removeEventListener("silverline:theme", this.redraw);
    this.watcher.disconnect();
    this.chart?.dispose();
  }
}

const GRID = { left: 44, right: 16, top: 20, bottom: 24 };
// About how many parts the value axis has; its ends are ticks like the others.
const PARTS = 6;

function chartOptions(data: ChartData, metric: Metric, palette: Colours, height: number): object {
  const [least, most] = valueRange(metric);
  const step = niceStep((most - least) / PARTS);
  const low = Math.floor(least / step) * step;
  const high = Math.ceil(most / step) * step;
  const room = height - GRID.top - GRID.bottom;
  const down = (value: number): number => ((high - value) / (high - low)) * room;
  const font = getComputedStyle(document.body).fontFamily;
  return {
    animation: false,
    aria: { enabled: false }, // the canvas has its own label and a table
    textStyle: { fontFamily: font, color: palette.text },
    grid: GRID,
    tooltip: {
      trigger: "axis",
      renderMode: "richText", // the HTML mode writes style attributes, which the CSP refuses
      confine: true,
      backgroundColor: palette.surface,
      borderColor: palette.quiet,
      textStyle: { color: palette.text, fontFamily: font },
      formatter: (items: { seriesName: string; value: [number, number | null] }[]) => tooltip(items, metric),
    },
    xAxis: {
      type: "time",
      min: data.from,
      max: data.to,
      axisLine: { lineStyle: { color: palette.quiet } },
      axisLabel: { color: palette.quiet, hideOverlap: true, formatter: (value: number) => timeOfDay(new Date(value)) },
      splitLine: { show: false },
    },
    yAxis: {
      type: "value",
      min: low,
      max: high,
      interval: step,
      name: metric.unit,
      nameTextStyle: { color: palette.quiet, align: "right" },
      axisLabel: { color: palette.quiet },
      splitLine: { lineStyle: { color: palette.line } },
    },
    series: metric.series.map((series, index) => ({
      type: "line",
      name: series.label,
      data: withGaps(series.points, metric.gap_s),
      connectNulls: false,
      showSymbol: series.points.length < 60,
      symbolSize: 5,
      lineStyle: { width: 2, type: index ? [6, 3] : "solid" },
      color: index ? palette.quiet : palette.accent,
      ...(index === 0 ? { markLine: markLines(data, metric, palette, down, room) } : {}),
    })),
  };
}

function tooltip(items: { seriesName: string; value: [number, number | null] }[], metric: Metric): string {
  const at = items[0]?.value[0];
  if (at === undefined) return "";
  const lines = items
    .filter((item) => item.value[1] !== null)
    .map((item) => `${item.seriesName} ${item.value[1]?.toFixed(metric.digits ?? 0)} ${metric.unit}`);
  return [monthDayTime(new Date(at)), ...lines].join("\n");
}

function markLines(data: ChartData, metric: Metric, palette: Colours, down: (value: number) => number, room: number): object {
  const limits = metric.thresholds ?? [];
  const places = labelPlaces(limits.map((limit) => down(limit.value)), room);
  const thresholds = limits.map((threshold, index) => {
    const color = severityColour(palette, threshold.severity);
    return {
      yAxis: threshold.value,
      lineStyle: { color, type: "dashed", width: 1 },
      label: { formatter: `${threshold.label} ${threshold.value}`, color, position: places[index], distance: [4, 2], ...halo(palette) },
    };
  });
  const named = namedAlarms(data.alarms ?? [], data.from, data.to);
  const alarms = (data.alarms ?? []).map((alarm) => {
    const color = severityColour(palette, alarm.severity);
    return {
      xAxis: alarm.at,
      lineStyle: { color, type: "solid", width: 2 },
      label: { show: named.has(alarm), formatter: `▲ ${alarm.label}`, color, position: "insideEndTop", rotate: 0, distance: [0, 4], align: "right" },
    };
  });
  return { silent: true, symbol: "none", animation: false, data: [...thresholds, ...alarms] };
}

/** Words over a curve stay readable, and the curve is seen between them. */
function halo(palette: Colours): object {
  return { textBorderColor: palette.surface, textBorderWidth: 3 };
}

export function mountChart(root: HTMLElement): void {
  new VitalsChart(root);
}
