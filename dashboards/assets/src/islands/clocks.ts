// One timer for every clock and every "3 minutes ago" on the page.
//
//   <span class="clock" data-since="ISO" data-limits="60,180" data-words="等待|超时|…" data-level="0">
//     <span class="clock-word"></span><span class="clock-time"></span>
//   </span>
//
// `data-until` stops a clock. Word and level (colour) change at the limits, not before. Ages: ages.ts.
import { everySecond, readOffset, serverNow, setText, tickAges } from "./ages";

export function clockText(seconds: number): string {
  const total = Math.max(0, Math.floor(seconds));
  const minutes = String(Math.floor((total % 3600) / 60)).padStart(2, "0");
  const rest = String(total % 60).padStart(2, "0");
  return total >= 3600 ? `${Math.floor(total / 3600)}:${minutes}:${rest}` : `${minutes}:${rest}`;
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
  tickAges();
}

export function startClocks(): void {
  readOffset();
  everySecond(tick);
  document.addEventListener("htmx:afterSwap", tick);
}
