// One timer for every clock and every "3 minutes ago" on the page.
//
//   <span class="clock" data-since="ISO" data-limits="60,180" data-words="等待|超时|…" data-level="0">
//     <span class="clock-word"></span><span class="clock-time"></span>
//   </span>
//   <time datetime="ISO" data-ago>…</time>
//
// `data-until` stops a clock. Word and level (colour) change at the limits, not before.
import { t } from "./words";

let offset = 0;

/** The server's time in milliseconds; a seat's own clock may be minutes off. */
export function serverNow(): number {
  return Date.now() + offset;
}

function readOffset(): void {
  const stamp = document.querySelector<HTMLMetaElement>('meta[name="server-now"]')?.content;
  if (stamp) offset = Date.parse(stamp) - Date.now();
}

export function clockText(seconds: number): string {
  const total = Math.max(0, Math.floor(seconds));
  const minutes = String(Math.floor((total % 3600) / 60)).padStart(2, "0");
  const rest = String(total % 60).padStart(2, "0");
  return total >= 3600 ? `${Math.floor(total / 3600)}:${minutes}:${rest}` : `${minutes}:${rest}`;
}

export function agoText(seconds: number): string | null {
  if (seconds < 60) return t("刚刚");
  if (seconds < 3600) return t("{n} 分钟前", { n: Math.floor(seconds / 60) });
  if (seconds < 86400) return t("{n} 小时前", { n: Math.floor(seconds / 3600) });
  return null;
}

function setText(element: Element | null, text: string): void {
  if (element && element.textContent !== text) element.textContent = text;
}

function tickClock(clock: HTMLElement, now: number): void {
  const until = clock.dataset["until"];
  const end = until ? Date.parse(until) : now;
  const seconds = (end - Date.parse(clock.dataset["since"] ?? "")) / 1000;
  if (Number.isNaN(seconds)) return;
  const limits = (clock.dataset["limits"] ?? "").split(",").filter(Boolean).map(Number);
  const level = String(Math.min(2, limits.filter((limit) => seconds >= limit).length));
  if (clock.dataset["level"] !== level) clock.dataset["level"] = level;
  const words = (clock.dataset["words"] ?? "").split("|");
  setText(clock.querySelector(".clock-word"), words[Number(level)] ?? "");
  setText(clock.querySelector(".clock-time"), clockText(seconds));
}

function tick(): void {
  const now = serverNow();
  for (const clock of document.querySelectorAll<HTMLElement>(".clock[data-since]")) tickClock(clock, now);
  for (const time of document.querySelectorAll<HTMLTimeElement>("time[data-ago]")) {
    const text = agoText(Math.max(0, (now - Date.parse(time.dateTime)) / 1000));
    if (text) setText(time, text);
  }
}

export function startClocks(): void {
  readOffset();
  const again = (): void => {
    tick();
    // Just after the next full second of the server, so that all clocks change together.
    setTimeout(again, 1000 - (serverNow() % 1000) + 5);
  };
  again();
  document.addEventListener("htmx:afterSwap", tick);
  document.addEventListener("visibilitychange", tick);
}
