// What a chart's endpoint answers, and what of it is drawn. No drawing here.
//
// { "from": ms, "to": ms,
//   "metrics": [{ "code", "label", "unit", "digits": 0, "gap_s": 3600,
//                 "series": [{ "code", "label", "points": [[ms, value], …] }],
//                 "thresholds": [{ "value", "label", "severity" }] }],
//   "alarms": [{ "at": ms, "label", "severity" }] }

export type Point = [number, number | null];
export type Series = { code: string; label: string; points: Point[] };
export type Threshold = { value: number; label: string; severity: string };
export type Metric = {
  code: string;
  label: string;
  unit: string;
  digits?: number;
  gap_s?: number;
  series: Series[];
  thresholds?: Threshold[];
};
export type ChartData = {
  from: number;
  to: number;
  metrics: Metric[];
  alarms?: { at: number; label: string; severity: string }[];
};

const DEFAULT_GAP_S = 3600;
// Of the width of a chart; the narrowest stands in a column of 300 px.
const ROOM_OF_A_WORD = 0.3;
// How high the words of a limit line are, and how far they may reach into the axis below.
const WORD_PX = 15;
const SLACK_PX = 4;

/** Put a null between readings that lie further apart than the gap: missing is not a straight line. */
export function withGaps(points: Point[], gapSeconds = DEFAULT_GAP_S): Point[] {
  const result: Point[] = [];
  let before: Point | undefined;
  for (const point of points) {
    if (before && point[0] - before[0] > gapSeconds * 1000) result.push([before[0] + 1, null]);
    result.push(point);
    before = point;
  }
  return result;
}

/** The alarms whose words have room above the chart: of those close together the latest. */
export function namedAlarms<T extends { at: number }>(alarms: readonly T[], from: number, to: number): Set<T> {
  const room = (to - from) * ROOM_OF_A_WORD;
  const named = new Set<T>();
  let after = Infinity;
  for (const alarm of [...alarms].sort((a, b) => b.at - a.at)) {
    if (after - alarm.at < room) continue;
    named.add(alarm);
    after = alarm.at;
  }
  return named;
}

export type LabelPlace = "insideStartTop" | "insideStartBottom" | "insideEndTop" | "insideEndBottom";

/** Where the words of limit lines stand: on their line at the left, under it where another has that
 * room, else at the right. `heights` are pixels from the top of the drawing, `room` its height. */
export function labelPlaces(heights: readonly number[], room: number): LabelPlace[] {
  const places = new Array<LabelPlace>(heights.length).fill("insideEndTop");
  const taken: Record<"Start" | "End", [number, number][]> = { Start: [], End: [] };
  const order = [...heights.keys()].sort((a, b) => (heights[a] ?? 0) - (heights[b] ?? 0));
  for (const index of order) {
    const line = heights[index] ?? 0;
    const boxes: ["Start" | "End", "Top" | "Bottom", number][] = [
      ["Start", "Top", line - WORD_PX],
      ["Start", "Bottom", line],
      ["End", "Top", line - WORD_PX],
      ["End", "Bottom", line],
    ];
    const free = boxes.find(([side, , top]) => {
      const bottom = top + WORD_PX;
      const crossed = heights.some((other) => other > top + 1 && other < bottom - 1);
      const covered = taken[side].some(([first, last]) => top < last && bottom > first);
      return !crossed && !covered && bottom <= room + SLACK_PX;
    });
    if (!free) continue;
    taken[free[0]].push([free[2], free[2] + WORD_PX]);
    places[index] = `inside${free[0]}${free[1]}`;
  }
  return places;
}

/** The range of the y axis: readings and thresholds with a little air. */
export function valueRange(metric: Metric): [number, number] {
  const values = metric.series.flatMap((series) => series.points.map((point) => point[1]));
  const known = values.filter((value): value is number => value !== null);
  known.push(...(metric.thresholds ?? []).map((threshold) => threshold.value));
  if (known.length === 0) return [0, 1];
  const low = Math.min(...known);
  const high = Math.max(...known);
  const air = Math.max((high - low) * 0.1, metric.digits ? 0.2 : 2);
  const unit = metric.digits ? 0.5 : 5;
  return [Math.floor((low - air) / unit) * unit, Math.ceil((high + air) / unit) * unit];
}

/** Rows of the table behind a chart, latest first: time and one value for each series. */
export function tableRows(metric: Metric): [number, (number | null)[]][] {
  const rows = new Map<number, (number | null)[]>();
  metric.series.forEach((series, index) => {
    for (const [at, value] of series.points) {
      const row = rows.get(at) ?? metric.series.map(() => null);
      row[index] = value;
      rows.set(at, row);
    }
  });
  return [...rows.entries()].sort((a, b) => b[0] - a[0]);
}
