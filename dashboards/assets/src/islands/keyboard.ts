// The whole console by keyboard: `data-key="a"` on a button, link or field answers to that letter.
//
// `?` lists the keys, `/` searches, J and K walk the queue, Enter opens, Esc goes back. Nothing
// happens while somebody types, with Ctrl, Alt or Meta, or while an input method composes. Single
// keys can be turned off in the list (WCAG 2.1.4).
import { byId, isShown, isTyping, make } from "./dom";
import { t } from "./words";

const OFF = "silverline.keys-off";

function keysOff(): boolean {
  return localStorage.getItem(OFF) === "1";
}

/** Where keys are looked for: the open dialog alone, or the whole page. */
function scope(): ParentNode {
  return document.querySelector("dialog[open]") ?? document;
}

function holders(root: ParentNode = scope()): HTMLElement[] {
  return [...root.querySelectorAll<HTMLElement>("[data-key]")].filter(isShown);
}

function labelOf(element: HTMLElement): string {
  const named = element.dataset["keyLabel"] ?? element.getAttribute("aria-label");
  if (named) return named;
  const copy = element.cloneNode(true) as HTMLElement;
  for (const extra of copy.querySelectorAll("kbd, svg")) extra.remove();
  return copy.textContent?.trim().replace(/\s+/g, " ") ?? "";
}

function activate(element: HTMLElement): void {
  if (element.getAttribute("aria-disabled") === "true" || element.matches(":disabled")) return;
  if (isTyping(element)) {
    element.focus();
    if (element instanceof HTMLInputElement) element.select();
  } else {
    element.click();
    // A choice that is made by its digit has the focus, so that Enter sends it.
    if (element instanceof HTMLInputElement) element.focus();
  }
}

function walkQueue(step: number): void {
  const items = [...document.querySelectorAll<HTMLElement>("#queue [data-queue-item]")].filter(isShown);
  if (items.length === 0) return;
  const focused = items.indexOf(document.activeElement as HTMLElement);
  const open = items.findIndex((item) => item.hasAttribute("aria-current"));
  const from = focused >= 0 ? focused : open;
  const next = from < 0 ? (step > 0 ? 0 : items.length - 1) : from + step;
  items[Math.max(0, Math.min(items.length - 1, next))]?.focus();
}

function keyRows(list: HTMLElement): void {
  const rows: [string[], string][] = [
    [["J"], t("下一条警情")],
    [["K"], t("上一条警情")],
    [["Enter"], t("打开选中的警情")],
    [["Esc"], t("返回或关闭")],
    [["?"], t("显示快捷键")],
  ];
  for (const holder of holders(document)) {
    const key = holder.dataset["key"] ?? "";
    rows.push([[key.length === 1 ? key.toUpperCase() : key], labelOf(holder)]);
  }
  list.replaceChildren(
    ...rows.flatMap(([keys, label]) => [
      make("dt", {}, ...keys.map((key) => make("kbd", {}, key))),
      make("dd", {}, label),
    ]),
  );
}

export function openKeyList(): void {
  const dialog = byId("keys-dialog") as HTMLDialogElement | null;
  const list = dialog?.querySelector<HTMLElement>(".key-list");
  if (!dialog || !list || dialog.open) return;
  keyRows(list);
  dialog.showModal();
}

function goBack(): void {
  const back = document.querySelector<HTMLElement>("#page [data-back]");
  if (back) back.click();
}

/** `data-or-selected`: while an item of the queue is selected, the letter means that one. */
function orSelected(holder: HTMLElement): HTMLElement {
  if (!holder.hasAttribute("data-or-selected")) return holder;
  return document.activeElement?.closest<HTMLElement>("[data-queue-item]") ?? holder;
}

function onKey(event: KeyboardEvent): void {
  if (event.defaultPrevented || event.isComposing) return;
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const openMenu = document.querySelector<HTMLDetailsElement>("details.menu[open]");
  if (event.key === "Escape") {
    if (document.querySelector("dialog[open]")) return; // the browser closes it
    if (openMenu) {
      openMenu.open = false;
      openMenu.querySelector("summary")?.focus();
    } else if (isTyping(event.target)) {
      (event.target as HTMLElement).blur();
    } else {
      goBack();
    }
    return;
  }
  if (isTyping(event.target) || keysOff()) return;
  const key = event.key.toLowerCase();
  const holder = holders().find((element) => element.dataset["key"]?.toLowerCase() === key);
  if (holder && !(event.shiftKey && /^[a-z0-9]$/.test(key))) {
    event.preventDefault();
    if (!event.repeat) activate(orSelected(holder));
  } else if (event.key === "?") {
    event.preventDefault();
    openKeyList();
  } else if ((key === "j" || key === "k") && !document.querySelector("dialog[open]")) {
    event.preventDefault();
    walkQueue(key === "j" ? 1 : -1);
  }
}

export function startKeyboard(): void {
  document.addEventListener("keydown", onKey);
  document.addEventListener("click", (event) => {
    if ((event.target as Element).closest("[data-opens-keys]")) openKeyList();
  });
  const toggle = byId("keys-enabled") as HTMLInputElement | null;
  const apply = (): void => {
    document.documentElement.dataset["keys"] = keysOff() ? "off" : "on";
    if (toggle) toggle.checked = !keysOff();
  };
  toggle?.addEventListener("change", () => {
    if (toggle.checked) localStorage.removeItem(OFF);
    else localStorage.setItem(OFF, "1");
    apply();
  });
  apply();
}
