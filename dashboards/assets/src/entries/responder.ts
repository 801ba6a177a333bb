// The responder's page on a bad line. Without this script every button still works as a form.
//
// - What is typed stays in the phone until it has arrived.
// - A button that finds no network is kept, also through a reload, and tried again until it arrives;
//   the server counts a step, a note (by its key) and a photo (by its bytes) once.
// - Photos are made small before they go out.
// - How old a position is goes on by itself.
// - The position is sent while the task is going on, if the phone's owner allows it.

import { everySecond, readOffset, tickAges } from "../islands/ages";

const RETRY_MS = [1000, 2000, 4000, 8000];
const TIMEOUT_MS = 20_000;
const PHOTO_TIMEOUT_MS = 120_000;
const POSITION_EVERY_MS = 30_000;
const PHOTO_SIDE = 1600;

type Pending = { path: string; fields: [string, string][] };

let sending = false;
let lastPosition = 0;
let watching = false;

const task = (): HTMLElement | null => document.getElementById("task");
const storeKey = (name: string): string => `silverline:${task()?.dataset["dispatch"] ?? ""}:${name}`;

function remember(name: string, value: string | null): void {
  try {
    if (value) localStorage.setItem(storeKey(name), value);
    else localStorage.removeItem(storeKey(name));
  } catch {
    // a private window without storage: the form still works while the page is open
  }
}

function recall(name: string): string {
  try {
    return localStorage.getItem(storeKey(name)) ?? "";
  } catch {
    return "";
  }
}

function say(text: string): void {
  const line = document.getElementById("line");
  if (!line) return;
  line.textContent = text;
  line.hidden = !text;
}

function randomKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

const pause = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    const timer = setTimeout(done, ms);
    function done(): void {
      clearTimeout(timer);
      window.removeEventListener("online", done);
      resolve();
    }
    window.addEventListener("online", done);
  });

/** Send until the server has answered; a server error is tried again like a missing line. */
async function deliver(path: string, body: BodyInit, timeout: number): Promise<string> {
  for (let attempt = 0; ; attempt++) {
    try {
      const response = await fetch(path, { method: "POST", body, signal: AbortSignal.timeout(timeout) });
      if (response.status < 500) return await response.text();
    } catch {
      // no line, or too slow: again
    }
    say(task()?.dataset["waiting"] ?? "");
    await pause(RETRY_MS[Math.min(attempt, RETRY_MS.length - 1)] ?? 8000);
  }
}

/** A photo that was chosen and not yet sent stays chosen, whatever step was taken meanwhile. */
function keepPhoto(chosen: HTMLInputElement | null): void {
  if (chosen?.files?.length) document.querySelector("input[type=file]")?.replaceWith(chosen);
}

/** Put the page that the server answered with in the place of this one. */
function show(html: string, photoSent = false): void {
  const fresh = new DOMParser().parseFromString(html, "text/html");
  const main = fresh.querySelector("main");
  if (!main) {
    location.reload();
    return;
  }
  const chosen = document.querySelector<HTMLInputElement>("input[type=file]");
  document.querySelector("main")?.replaceWith(main);
  document.title = fresh.title;
  scrollTo(0, 0);
  if (!photoSent) keepPhoto(chosen);
  prepare();
  if (document.querySelector("#text:valid") || document.querySelector("#photo:valid")) say(task()?.dataset["unsent"] ?? "");
}

async function flush(): Promise<void> {
  const text = recall("pending");
  if (!text || sending) return;
  const pending = JSON.parse(text) as Pending;
  sending = true;
  busy(true);
  const html = await deliver(pending.path, new URLSearchParams(pending.fields), TIMEOUT_MS);
  sending = false;
  remember("pending", null);
  if (pending.path.endsWith("/note")) remember("text", null);
  show(html);
}

function busy(on: boolean): void {
  for (const button of document.querySelectorAll("button")) button.disabled = on;
  if (on) say(task()?.dataset["sending"] ?? "");
}

async function smaller(file: File): Promise<Blob> {
  try {
    const image = await createImageBitmap(file, { imageOrientation: "from-image" });
    const scale = Math.min(1, PHOTO_SIDE / Math.max(image.width, image.height));
    const canvas = document.createElement("canvas");
    canvas.width = Math.round(image.width * scale);
    canvas.height = Math.round(image.height * scale);
    canvas.getContext("2d")?.drawImage(image, 0, 0, canvas.width, canvas.height);
    const small = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.8));
    return small && small.size < file.size ? small : file;
  } catch {
    return file; // this browser cannot read it; the server says what it thinks of it
  }
}

async function sendPhoto(form: HTMLFormElement): Promise<void> {
  const file = form.querySelector<HTMLInputElement>("input[type=file]")?.files?.[0];
  if (!file || sending) return;
  sending = true;
  busy(true);
  const body = new FormData();
  body.append("photo", await smaller(file), "photo");
  const html = await deliver(addressOf(form), body, PHOTO_TIMEOUT_MS);
  sending = false;
  show(html, true);
}

/** The form's address. `form.action` would be the button of that name. */
function addressOf(form: HTMLFormElement): string {
  return form.getAttribute("action") ?? "";
}

function onSubmit(event: SubmitEvent): void {
  const form = event.target as HTMLFormElement;
  event.preventDefault();
  if (sending) return;
  if ("photo" in form.dataset) {
    void sendPhoto(form);
    return;
  }
  const key = form.querySelector<HTMLInputElement>("input[name=key]");
  if (key && !key.value) key.value = randomKey();
  const fields = [...new FormData(form, event.submitter)].map(([name, value]): [string, string] => [name, String(value)]);
  remember("pending", JSON.stringify({ path: addressOf(form), fields } satisfies Pending));
  void flush();
}

function keepText(): void {
  const text = document.querySelector<HTMLTextAreaElement>("form[data-keep] textarea");
  if (!text) return;
  text.value ||= recall("text");
  text.addEventListener("input", () => remember("text", text.value));
}

function sharePosition(): void {
  if (watching || task()?.dataset["share"] !== "true" || !("geolocation" in navigator)) return;
  watching = true;
  const watch = navigator.geolocation.watchPosition(
    ({ coords }) => {
      const main = task();
      if (main?.dataset["share"] !== "true") {
        navigator.geolocation.clearWatch(watch);
        watching = false;
        return;
      }
      if (Date.now() - lastPosition < POSITION_EVERY_MS) return;
      lastPosition = Date.now();
      const fields = { lat: String(coords.latitude), lon: String(coords.longitude), accuracy: String(coords.accuracy) };
      const body = new URLSearchParams(fields);
      void fetch(`${main.dataset["base"] ?? ""}/position`, { method: "POST", body }).catch(() => undefined);
    },
    () => undefined, // not allowed: everything else works
    { enableHighAccuracy: true, maximumAge: 30_000 },
  );
}

function prepare(): void {
  // The address keeps the link alone: a reload must not show an old message.
  history.replaceState(null, "", location.pathname);
  keepText();
  sharePosition();
  tickAges();
}

document.addEventListener("submit", onSubmit);
readOffset();
everySecond(tickAges);
prepare();
void flush();
document.documentElement.dataset["ready"] = "true";
