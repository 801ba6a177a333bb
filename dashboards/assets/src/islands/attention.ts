// What a person sees who is looking at another tab: the title flashes, the icon carries the count.

let base = document.title;
let flash = "";
let shown = false;
let timer = 0;
let icon: string | null = null;

function keepBase(): void {
  if (document.title !== flash) base = document.title;
}

function draw(count: number): string {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 64;
  const pen = canvas.getContext("2d");
  if (!pen) return "";
  pen.fillStyle = "#c4122f";
  pen.beginPath();
  pen.moveTo(32, 2);
  pen.lineTo(63, 62);
  pen.lineTo(1, 62);
  pen.fill();
  pen.fillStyle = "#ffffff";
  pen.font = "bold 34px sans-serif";
  pen.textAlign = "center";
  pen.fillText(count > 9 ? "9+" : String(count), 32, 57);
  return canvas.toDataURL("image/png");
}

function setIcon(href: string): void {
  const link = document.querySelector<HTMLLinkElement>('link[rel="icon"]');
  if (!link) return;
  icon ??= link.href;
  link.href = href || icon;
}

/** Flash a text in the title until count is 0. */
export function callAttention(count: number, text: string): void {
  keepBase();
  clearInterval(timer);
  document.documentElement.dataset["attention"] = String(count);
  setIcon(count ? draw(count) : "");
  if (count === 0) {
    if (document.title === flash) document.title = base;
    flash = "";
    return;
  }
  flash = text;
  timer = window.setInterval(() => {
    keepBase();
    shown = !shown;
    document.title = shown ? flash : base;
  }, 1000);
  document.title = flash;
}
