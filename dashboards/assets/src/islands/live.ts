// The live feed: one EventSource for all tabs of this browser.
//
// The tab that holds the lock "silverline-live" has the connection and passes everything on by a
// BroadcastChannel; when it closes, the next tab takes over. EventSource retries by itself after a
// broken line; after an HTTP error it gives up, so we open a new one. States: connecting, live,
// retrying. After every reconnection the tabs get `resync` and render everything again.

export type FeedEvent = {
  event: string;
  id?: string;
  severity?: string;
  kind?: string;
  status?: string;
  version?: number;
};
export type FeedState = { state: "connecting" | "live" | "retrying"; since: number };
type Message = { type: "event"; event: FeedEvent } | { type: "state"; state: FeedState } | { type: "hello" };

const RETRY_MS = [1000, 2000, 5000, 10_000];
// The server says `beat` every 15 s; a line that is silent for 40 s is dead without knowing it.
const SILENCE_MS = 40_000;

export class LiveFeed {
  private source: EventSource | null = null;
  private channel = new BroadcastChannel("silverline-live");
  private state: FeedState = { state: "connecting", since: Date.now() };
  private opened = false;
  private attempts = 0;
  private watchdog = 0;
  private leads = false;

  constructor(
    private url: string,
    private onEvent: (event: FeedEvent) => void,
    private onState: (state: FeedState, leads: boolean) => void,
  ) {}

  start(): void {
    this.channel.addEventListener("message", (message: MessageEvent<Message>) => this.hear(message.data));
    this.onState(this.state, false);
    if (!("locks" in navigator)) {
      this.lead(); // no secure context: every tab has its own line
      return;
    }
    void navigator.locks.request("silverline-live", () => {
      this.lead();
      return new Promise(() => undefined); // held until the tab closes
    });
    this.channel.postMessage({ type: "hello" } satisfies Message);
  }

  private lead(): void {
    this.leads = true;
    this.connect();
  }

  private hear(message: Message): void {
    if (message.type === "hello") {
      if (this.leads) this.channel.postMessage({ type: "state", state: this.state } satisfies Message);
    } else if (!this.leads && message.type === "state") {
      this.state = message.state;
      this.onState(this.state, false);
    } else if (!this.leads && message.type === "event") {
      this.onEvent(message.event);
    }
  }

  private connect(): void {
    this.source?.close();
    const source = new EventSource(this.url);
    this.source = source;
    source.addEventListener("open", () => this.onOpen());
    source.addEventListener("message", (message) => this.onMessage(String(message.data)));
    source.addEventListener("beat", () => this.watch());
    source.addEventListener("error", () => this.onError(source));
  }

  private onOpen(): void {
    this.attempts = 0;
    this.setState("live");
    // The page was rendered before the first connection too: what came in between is caught here.
    this.publish({ event: "resync" });
    this.opened = true;
  }

  private onMessage(data: string): void {
    this.watch();
    const parsed = JSON.parse(data) as FeedEvent & { data?: Partial<FeedEvent> };
    if (parsed.event === "beat") return;
    this.publish({ ...parsed.data, ...parsed });
  }

  private onError(source: EventSource): void {
    if (source !== this.source) return;
    clearTimeout(this.watchdog);
    this.setState(this.opened || this.attempts > 0 ? "retrying" : "connecting");
    this.attempts += 1;
    if (this.attempts > 1) this.setState("retrying");
    if (source.readyState !== EventSource.CLOSED) return; // the browser retries by itself
    this.source = null;
    const wait = RETRY_MS[Math.min(this.attempts, RETRY_MS.length) - 1] ?? 10_000;
    setTimeout(() => this.connect(), wait);
  }

  private watch(): void {
    clearTimeout(this.watchdog);
    this.watchdog = window.setTimeout(() => {
      this.setState("retrying");
      this.connect();
    }, SILENCE_MS);
  }

  private setState(state: FeedState["state"]): void {
    if (this.state.state !== state) this.state = { state, since: Date.now() };
    this.channel.postMessage({ type: "state", state: this.state } satisfies Message);
    this.onState(this.state, true);
  }

  private publish(event: FeedEvent): void {
    this.channel.postMessage({ type: "event", event } satisfies Message);
    this.onEvent(event);
  }
}
