// "3 minutes ago" goes on by itself, on the console and on the responder's phone:
//
//   <time datetime="ISO" data-ago>…</time>
//
// After a day the age becomes the day and the time.
import { monthDayTime, t } from "./words";

let offset = 0;
// What an age was written in, so that a date which the server wrote is left as it is.
const counted = new WeakSet<HTMLTimeElement>();

/** The server's time in milliseconds; a seat's or a phone's own clock may be minutes off. */
export function serverNow(): number {
  return Date.now() + offset;
}

/** Learn from the page how far this machine's clock is from the server's. */
export function readOffset(): void {
  const stamp = document.querySelector<HTMLMetaElement>('meta[name="server-now"]')?.content;
  if (stamp) offset = Date.parse(stamp) - Date.now();
}

export function agoText(seconds: number): string | null {
  if (seconds < 60) return t("刚刚");
  if (seconds < 3600) return t("{n} 分钟前", { n: Math.floor(seconds / 60) });
  if (seconds < 86400) return t("{n} 小时前", { n: Math.floor(seconds / 3600) });
  return null;
}

/** How long ago a moment was, from a day on the moment itself. */
export function ageText(moment: Date): string {
  return agoText(Math.max(0, (serverNow() - moment.getTime()) / 1000)) ?? monthDayTime(moment);
}

export function setText(element: Element | null, text: string): void {
  if (element && element.textContent !== text) element.textContent = text;
}

/** Bring every age on the page up to date. */
export function tickAges(): void {
  for (const time of document.querySelectorAll<HTMLTimeElement>("time[data-ago]")) {
    const moment = new Date(time.dateTime);
    const young = serverNow() - moment.getTime() < 86_400_000;
    if (young) counted.add(time);
    if (counted.has(time)) setText(time, ageText(moment));
  }
}

/** Run now, whenever the page is looked at again, and just after each full second of the server. */
export function everySecond(run: () => void): void {
  const again = (): void => {
    run();
    setTimeout(again, 1000 - (serverNow() % 1000) + 5);
  };
  again();
  document.addEventListener("visibilitychange", run);
}
