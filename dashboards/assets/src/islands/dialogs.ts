// Native dialogs and the question before something that cannot be undone.
//
//   <button data-opens="dialog-id">      opens it (focus goes to its first field); a link with
//                                        hx-boost="false" does, and leads on where scripts are missing
//   <button data-closes>                 closes the dialog around it
//   <button data-confirm="确定…？">       asks first, then does what it would have done
import { byId, make } from "./dom";
import { t } from "./words";

const confirmed = new WeakSet<HTMLElement>();

function ask(question: string, verb: string): Promise<boolean> {
  return new Promise((resolve) => {
    const yes = make("button", { type: "submit", value: "yes", class: "btn btn-primary", "data-key": "y" }, make("kbd", {}, "Y"), verb);
    const no = make("button", { type: "submit", value: "no", class: "btn btn-quiet", "data-key": "n" }, make("kbd", {}, "N"), t("不，返回"));
    const title = make("h2", { id: "confirm-title" }, question);
    const dialog = make(
      "dialog",
      { "aria-labelledby": "confirm-title", "data-confirm-dialog": "" },
      make("form", { method: "dialog", "hx-boost": "false" }, make("div", { class: "dialog-body" }, title), make("div", { class: "dialog-foot" }, no, yes)),
    );
    dialog.addEventListener("close", () => {
      resolve(dialog.returnValue === "yes");
      dialog.remove();
    });
    document.body.append(dialog);
    dialog.showModal();
    no.focus();
  });
}

async function onConfirm(element: HTMLElement): Promise<void> {
  const question = element.dataset["confirm"] ?? "";
  const verb = element.dataset["confirmVerb"] ?? t("是，继续");
  if (!(await ask(question, verb))) return;
  confirmed.add(element);
  element.click();
  confirmed.delete(element);
}

/** A link that opens a dialog says that it is a button, so it answers to the space bar too. */
function onSpace(event: KeyboardEvent): void {
  const target = event.target as Element;
  if (event.key !== " " || !target.matches('a[role="button"]')) return;
  event.preventDefault();
  (target as HTMLElement).click();
}

export function startDialogs(): void {
  document.addEventListener("keydown", onSpace);
  document.addEventListener(
    "click",
    (event) => {
      const element = (event.target as Element).closest<HTMLElement>("[data-confirm]");
      if (!element || confirmed.has(element)) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      void onConfirm(element);
    },
    { capture: true },
  );
  document.addEventListener("click", (event) => {
    const target = event.target as Element;
    const opener = target.closest<HTMLElement>("[data-opens]");
    const dialog = byId(opener?.dataset["opens"] ?? "") as HTMLDialogElement | null;
    if (dialog) {
      event.preventDefault();
      // One that stands open in the page (drawn for a browser without scripts) becomes a real one.
      if (dialog.open && !dialog.matches(":modal")) dialog.close();
      if (!dialog.open) dialog.showModal();
    }
    const closer = target.closest("[data-closes]");
    if (closer) {
      event.preventDefault();
      closer.closest("dialog")?.close();
    }
    if (target instanceof HTMLDialogElement && target.hasAttribute("data-light")) target.close();
  });
}
