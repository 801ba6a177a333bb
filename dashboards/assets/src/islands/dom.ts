// Small helpers that several islands share.

export function byId(id: string): HTMLElement | null {
  return document.getElementById(id);
}

/** Make an element with attributes and text or children; never parses HTML. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Record<string, string> = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

/** An icon of the sprite, beside text that says the same. */
export function icon(name: string, className = ""): SVGSVGElement {
  const sprite = document.querySelector<HTMLMetaElement>('meta[name="icons"]')?.content ?? "";
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", `icon ${className}`.trim());
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `${sprite}#${name}`);
  svg.append(use);
  return svg;
}

export function isTyping(target: EventTarget | null): boolean {
  // A field of a dialog that was just closed has the focus until the page is drawn again.
  if (!(target instanceof HTMLElement) || !isShown(target)) return false;
  if (target.isContentEditable || target instanceof HTMLTextAreaElement) return true;
  if (target instanceof HTMLSelectElement) return true;
  const quietTypes = ["checkbox", "radio", "button", "submit", "reset", "file"];
  return target instanceof HTMLInputElement && !quietTypes.includes(target.type);
}

export function isShown(element: HTMLElement): boolean {
  return element.checkVisibility({ visibilityProperty: true });
}

export function csrfToken(): string {
  return document.querySelector<HTMLMetaElement>('meta[name="csrf-token"]')?.content ?? "";
}

/** Run once for every element that fits, now and after every htmx swap. */
export function eachNew(selector: string, visit: (element: HTMLElement) => void): void {
  const seen = new WeakSet<Element>();
  const scan = (): void => {
    for (const element of document.querySelectorAll<HTMLElement>(selector)) {
      if (seen.has(element)) continue;
      seen.add(element);
      visit(element);
    }
  };
  scan();
  document.addEventListener("htmx:afterSettle", scan);
  document.addEventListener("htmx:historyRestore", scan);
}
