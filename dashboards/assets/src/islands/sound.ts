// The alarm's sound: made here by WebAudio, so it needs no file and no network.
//
// A new critical incident rings high-low-high; a repeat of one rings in quick pairs. The sound is a
// looping buffer, because timers of a background tab run late or not at all. One tab sounds: the one
// that holds the lock "silverline-sound", which a tab asks for when its audio was unlocked.
import { byId } from "./dom";
import { t, timeOfDay } from "./words";

export type Tone = "new" | "repeat";
type Note = { at: number; length: number; pitch: number };

const MUTE_MS = 120_000;
// Three times the tone of a repeat.
const REMIND_MS = 4800;
const MUTED = "silverline.muted-until";
const SCORE: Record<Tone, { notes: Note[]; length: number }> = {
  new: {
    notes: [
      { at: 0, length: 0.22, pitch: 988 },
      { at: 0.24, length: 0.22, pitch: 740 },
      { at: 0.48, length: 0.3, pitch: 988 },
    ],
    length: 1.8,
  },
  repeat: {
    notes: [0, 0.16, 0.48, 0.64].map((at) => ({ at, length: 0.11, pitch: 1175 })),
    length: 1.6,
  },
};

export class Alarm {
  private context: AudioContext | null = null;
  private source: AudioBufferSourceNode | null = null;
  private playing: Tone | null = null;
  private wanted: Tone | null = null;
  private mayPlay = !("locks" in navigator);
  private elsewhere = false;
  private muteTimer = 0;
  private remindTimer = 0;
  private unlockedAt = -Infinity;

  start(): void {
    this.context = new AudioContext();
    const unlock = (): void => void this.unlock();
    for (const name of ["pointerdown", "keydown"]) document.addEventListener(name, unlock, { capture: true });
    byId("sound")?.addEventListener("click", () => this.toggleMute());
    addEventListener("storage", (event) => event.key === MUTED && this.update());
    this.context.addEventListener("statechange", () => this.update());
    if (this.context.state === "running") void this.takeLock();
    else void this.context.resume().then(() => this.takeLock(), () => undefined);
    setInterval(() => void this.lookElsewhere(), 5000);
    void this.lookElsewhere();
    this.update();
  }

  /** Ring with a tone until told null. */
  ring(tone: Tone | null): void {
    this.wanted = tone;
    this.update();
  }

  /** Sound the tone of a repeat for a few seconds, unless it rings anyway. */
  remind(): void {
    clearTimeout(this.remindTimer);
    this.remindTimer = window.setTimeout(() => {
      this.remindTimer = 0;
      this.update();
    }, REMIND_MS);
    this.update();
  }

  /** A new critical incident sounds even in a muted minute: it is another person. */
  breakMute(): void {
    localStorage.removeItem(MUTED);
    this.update();
  }

  private async unlock(): Promise<void> {
    if (!this.context || this.context.state === "running") return;
    await this.context.resume();
    this.unlockedAt = performance.now();
    await this.takeLock();
  }

  private async takeLock(): Promise<void> {
    if (this.context?.state !== "running" || this.mayPlay) return this.update();
    void navigator.locks.request("silverline-sound", () => {
      this.mayPlay = true;
      this.update();
      return new Promise(() => undefined); // held until the tab closes
    });
    this.update();
  }

  private async lookElsewhere(): Promise<void> {
    if (!("locks" in navigator)) return;
    const held = (await navigator.locks.query()).held ?? [];
    this.elsewhere = !this.mayPlay && held.some((lock) => lock.name === "silverline-sound");
    this.update();
  }

  private mutedUntil(): number {
    const until = Number(localStorage.getItem(MUTED) ?? 0);
    return until > Date.now() ? until : 0;
  }

  private toggleMute(): void {
    // The click that unlocks begins with a pointerdown that has unlocked already: it must not mute.
    if (this.context?.state !== "running" || performance.now() - this.unlockedAt < 1000) return;
    if (this.mutedUntil()) localStorage.removeItem(MUTED);
    else localStorage.setItem(MUTED, String(Date.now() + MUTE_MS));
    this.update();
  }

  private update(): void {
    const until = this.mutedUntil();
    clearTimeout(this.muteTimer);
    if (until) this.muteTimer = window.setTimeout(() => this.update(), until - Date.now() + 20);
    const locked = this.context?.state !== "running" && !this.elsewhere;
    const wanted = this.wanted ?? (this.remindTimer ? "repeat" : null);
    this.play(!until && !locked && this.mayPlay ? wanted : null);
    this.show(wanted !== null, locked, until);
  }

  private show(wanted: boolean, locked: boolean, until: number): void {
    const button = byId("sound");
    if (!button) return;
    const ringing = wanted && !until && !locked;
    const state = locked ? "locked" : until ? "muted" : ringing ? "ringing" : "on";
    const text = {
      locked: t("点此打开报警声"),
      muted: t("已静音至 {time}", { time: timeOfDay(new Date(until)) }),
      ringing: t("正在响铃，点此静音"),
      on: t("报警声已开"),
    }[state];
    button.dataset["state"] = state;
    button.dataset["tone"] = this.playing ?? "";
    const label = button.querySelector<HTMLElement>("[data-label]");
    if (label && label.textContent !== text) label.textContent = text;
    label?.classList.toggle("visually-hidden", state === "on");
  }

  private play(tone: Tone | null): void {
    if (tone === this.playing) return;
    this.source?.stop();
    this.source = null;
    this.playing = tone;
    if (!tone || !this.context) return;
    this.source = this.context.createBufferSource();
    this.source.buffer = compose(this.context, tone);
    this.source.loop = true;
    this.source.connect(this.context.destination);
    this.source.start();
  }
}

function compose(context: AudioContext, tone: Tone): AudioBuffer {
  const { notes, length } = SCORE[tone];
  const rate = context.sampleRate;
  const buffer = context.createBuffer(1, Math.ceil(length * rate), rate);
  const samples = buffer.getChannelData(0);
  for (const note of notes) {
    const first = Math.floor(note.at * rate);
    const count = Math.floor(note.length * rate);
    for (let i = 0; i < count; i++) {
      const seconds = i / rate;
      // Ten milliseconds of rise and fall, or the note clicks.
      const edge = Math.min(1, seconds / 0.01, (note.length - seconds) / 0.01);
      const phase = 2 * Math.PI * note.pitch * seconds;
      samples[first + i] = 0.35 * edge * (Math.sin(phase) + 0.3 * Math.sin(2 * phase));
    }
  }
  return buffer;
}
