// Buttons that copy the text of an element or print the page.
//
//   <code id="secret">…</code> <button type="button" data-copy="secret">
//   <button type="button" data-print>
import { byId } from "./dom";
import { toast } from "./forms";
import { t } from "./words";

/** Select the text, so that Ctrl-C takes it where the browser lets no script copy (plain HTTP). */
function select(element: HTMLElement): void {
  const range = document.createRange();
  range.selectNodeContents(element);
  const selection = getSelection();
  selection?.removeAllRanges();
  selection?.addRange(range);
}

async function copy(element: HTMLElement): Promise<void> {
  select(element);
  try {
    await navigator.clipboard.writeText(element.textContent ?? "");
    toast("good", t("已复制"));
  } catch {
    toast("info", t("已选中，请按 Ctrl+C 复制"));
  }
}

export function startCopying(): void {
  document.addEventListener("click", (event) => {
    const target = event.target as Element;
    const source = byId(target.closest<HTMLElement>("[data-copy]")?.dataset["copy"] ?? "");
    if (source) void copy(source);
    if (target.closest("[data-print]")) print();
  });
}
