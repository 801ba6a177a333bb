// What an event of the feed does to the screen: the queue and the open page are asked for again, a
// critical incident rings until somebody has it, and the connection's state stands in the top bar.
//
// Elements with data-incident="<id>" get the htmx event `incident-changed`; elements with
// data-live="incident device.changed" get `live` for events that begin with one of the words.
// #queue gets `queue-refresh`; data-state is loading, fresh or stale, data-refreshed counts. Who may
// not see incidents has no queue, and who may see but not take them has no #sound: nothing rings
// there, the feed still keeps the page fresh.
import htmx from "htmx.org";
import { callAttention } from "./attention";
import { byId } from "./dom";
import { toast } from "./forms";
import { LiveFeed, type FeedEvent, type FeedState } from "./live";
import { markQueue } from "./navigation";
import { Alarm, type Tone } from "./sound";
import { t, timeOfDay } from "./words";

const DEBOUNCE_MS = 100;
const MAX_WAIT_MS = 400;
// A safety net under the feed: whatever went wrong, the queue is never older than this.
const POLL_MS = 30_000;
const RETRY_MS = [1000, 2000, 5000];

const alarm = new Alarm();
let debounce = 0;
let firstAsked = 0;
let retry = 0;
let failures = 0;
let tone: Tone = "new";

function refreshQueue(): void {
  const now = Date.now();
  firstAsked ||= now;
  clearTimeout(debounce);
  const wait = Math.max(0, Math.min(DEBOUNCE_MS, firstAsked + MAX_WAIT_MS - now));
  debounce = window.setTimeout(() => {
    firstAsked = 0;
    const queue = byId("queue");
    if (queue) htmx.trigger(queue, "queue-refresh");
  }, wait);
}

function refreshIncident(id: string | null): void {
  const selector = id ? `[data-incident="${CSS.escape(id)}"]` : "[data-incident]";
  for (const element of document.querySelectorAll<HTMLElement>(selector)) {
    if (!element.closest("#queue")) htmx.trigger(element, "incident-changed");
  }
}

function refreshOthers(name: string | null): void {
  for (const element of document.querySelectorAll<HTMLElement>("[data-live]")) {
    const words = (element.dataset["live"] ?? "").split(/\s+/);
    if (name === null || words.some((word) => name === word || name.startsWith(`${word}.`))) htmx.trigger(element, "live");
  }
}

function refreshAll(): void {
  refreshQueue();
  refreshIncident(null);
  refreshOthers(null);
}

function onEvent(event: FeedEvent): void {
  document.documentElement.dataset["lastEvent"] = event.event;
  document.dispatchEvent(new CustomEvent("silverline:event", { detail: event }));
  if (event.event === "resync") return refreshAll();
  refreshOthers(event.event);
  if (!event.event.startsWith("incident.")) return;
  refreshQueue();
  if (event.id) refreshIncident(event.id);
  if (event.severity !== "critical" || !byId("sound")) return;
  if (event.event === "incident.opened") {
    tone = "new";
    alarm.breakMute();
  } else if (event.event === "incident.repeated" || event.event === "incident.escalated") {
    tone = "repeat";
    // Somebody has it, so nothing rings on: but that it happened again must not pass unheard.
    if (event.status !== "open") alarm.remind();
  }
}

function unclaimed(): HTMLElement[] {
  return [...document.querySelectorAll<HTMLElement>('#queue [data-severity="critical"][data-status="open"]')];
}

function judgeQueue(): void {
  if (!byId("sound")) return;
  const waiting = unclaimed();
  alarm.ring(waiting.length ? tone : null);
  const kind = waiting[0] ? textOf(waiting[0], ".queue-kind") : "";
  callAttention(waiting.length, t("▲ 紧急 {n} · {kind}", { n: waiting.length, kind }));
  const fresh = waiting.filter((item) => !announced.has(item.id));
  for (const item of fresh) announced.add(item.id);
  // Each of them, by its own kind: two may come at once.
  const named = fresh.map((item) => t("新的紧急警情：{kind}，{who}", { kind: textOf(item, ".queue-kind"), who: textOf(item, ".queue-who") }));
  if (named.length) announce(named.join(" "));
}

function textOf(item: HTMLElement, selector: string): string {
  return item.querySelector(selector)?.textContent?.trim() ?? "";
}

const announced = new Set<string>();
const held = new Map<string, boolean>();

/** Say which incidents a colleague has put into the person's hands; one's own takes are on its page. */
function judgeHands(): void {
  for (const item of document.querySelectorAll<HTMLElement>('#queue [data-incident]:not([data-status="open"])')) {
    const id = item.dataset["incident"] ?? "";
    const mine = "mine" in item.dataset;
    if (mine && held.get(id) === false && byId("incident")?.dataset["id"] !== id) {
      toast("warn", t("移交给您：{kind}，{who}", { kind: textOf(item, ".queue-kind"), who: textOf(item, ".queue-who") }));
      if (byId("sound")) alarm.remind();
    }
    held.set(id, mine);
  }
}

function announce(text: string): void {
  const region = byId("announcer");
  if (region) region.textContent = text;
}

function onQueueDone(event: Event): void {
  const queue = byId("queue");
  const detail = (event as CustomEvent<{ elt: HTMLElement; successful: boolean; xhr: XMLHttpRequest }>).detail;
  if (!queue || detail.elt !== queue) return;
  clearTimeout(retry);
  if (detail.successful && isQueue(detail.xhr)) {
    failures = 0;
    queue.dataset["state"] = "fresh";
    queue.dataset["refreshed"] = String(Number(queue.dataset["refreshed"] ?? 0) + 1);
    return;
  }
  queue.dataset["state"] = "stale";
  if (detail.xhr.status === 401 || detail.successful) showExpired();
  retry = window.setTimeout(refreshQueue, RETRY_MS[Math.min(failures++, RETRY_MS.length - 1)]);
}

/** A login page in place of the queue means that the session is over. */
function isQueue(xhr: XMLHttpRequest): boolean {
  return xhr.responseText.includes("data-queue");
}

function showExpired(): void {
  byId("session-over")?.removeAttribute("hidden");
}

function showState(state: FeedState, leads: boolean): void {
  const place = byId("feed-state");
  if (!place) return;
  const text = {
    connecting: t("正在连接"),
    live: t("实时"),
    retrying: t("正在重连，自 {time}", { time: timeOfDay(new Date(state.since)) }),
  }[state.state];
  place.dataset["state"] = state.state;
  place.dataset["leads"] = String(leads);
  const label = place.querySelector("[data-label]");
  if (label && label.textContent !== text) label.textContent = text;
}

export function startAlarmFeed(): void {
  const url = document.body.dataset["feed"];
  if (!url) return;
  if (byId("queue")) startQueue();
  // A session that ended while something was asked for in the background must not take a half-written
  // page away.
  document.addEventListener("htmx:beforeOnLoad", (event) => {
    const detail = (event as CustomEvent<{ elt: HTMLElement; xhr: XMLHttpRequest }>).detail;
    if (!detail.elt.closest("[data-quiet-errors]") || !detail.xhr.getResponseHeader("HX-Redirect")) return;
    event.preventDefault();
    showExpired();
  });
  document.addEventListener("silverline:stale", refreshAll);
  new LiveFeed(url, onEvent, showState).start();
}

function startQueue(): void {
  if (byId("sound")) alarm.start();
  document.addEventListener("htmx:afterRequest", onQueueDone);
  document.addEventListener("htmx:beforeSwap", (event) => {
    const detail = (event as CustomEvent<{ target: HTMLElement; xhr: XMLHttpRequest; shouldSwap: boolean }>).detail;
    if (detail.target.id === "queue" && !isQueue(detail.xhr)) detail.shouldSwap = false;
  });
  document.addEventListener("htmx:afterSwap", (event) => {
    if ((event.target as Element).id !== "queue") return;
    markQueue();
    judgeQueue();
    judgeHands();
  });
  setInterval(refreshQueue, POLL_MS);
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") refreshQueue();
  });
}
