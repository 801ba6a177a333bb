// The scripts' own sentences: Chinese in the source, translated by the server in <meta name=words>.

let table: Record<string, string> | null = null;

function load(): Record<string, string> {
  const content = document.querySelector<HTMLMetaElement>('meta[name="words"]')?.content;
  return content ? (JSON.parse(content) as Record<string, string>) : {};
}

/** Translate a sentence and put values in for {names}. The build collects the literals. */
export function t(message: string, values: Record<string, string | number> = {}): string {
  table ??= load();
  return (table[message] ?? message).replace(/\{(\w+)\}/g, (whole, name: string) =>
    name in values ? String(values[name]) : whole,
  );
}

export function locale(): string {
  return document.documentElement.lang || "zh-CN";
}

/** Write a local time of day, 14:03, as everywhere else: in Asia/Shanghai. */
export function timeOfDay(moment: Date): string {
  return new Intl.DateTimeFormat("zh-CN", {
    hour: "2-digit",
    minute: "2-digit",
    hourCycle: "h23",
    timeZone: "Asia/Shanghai",
  }).format(moment);
}

export function monthDayTime(moment: Date): string {
  return new Intl.DateTimeFormat(locale(), {
    month: "short",
    day: "numeric",
    hour: "2-digit",
    minute: "2-digit",
    hourCycle: "h23",
    timeZone: "Asia/Shanghai",
  }).format(moment);
}
