// The page of one incident while it changes under the hand.
//
// Its parts come out of band, from …/parts and from the answer to every form. A part is left alone
// when it says what it said before (data-digest), when it is newer than what comes (data-revision: two
// answers may overtake each other), when somebody has typed or chosen something in it, and, inside an
// open dialog, until that is done or was refused: a form names the version that its person saw, so it
// must not take over a newer one by itself.
//
//   <form data-closes-when-done>         its dialog closes when the server has accepted it
//   <form data-empties>                  its fields are empty again then
//   <button data-preset="reason" data-preset-value="founded">   fills a form with common words

type Swap = { shouldSwap: boolean; target: HTMLElement; fragment: DocumentFragment };
type Answer = { requestConfig: { elt: HTMLElement }; shouldSwap: boolean; xhr: XMLHttpRequest };

/** An answer about an incident whose page was left meanwhile: its parts have the same ids. */
function isOfAnother({ xhr }: Answer): boolean {
  const id = /\/console\/incidents\/([0-9a-f-]{36})\//.exec(xhr.responseURL)?.[1];
  return id !== undefined && id !== document.getElementById("incident")?.dataset["id"];
}

function isTouched(root: HTMLElement): boolean {
  return [...root.querySelectorAll<HTMLInputElement | HTMLTextAreaElement>("input, textarea")].some((field) => {
    if (field instanceof HTMLInputElement && ["radio", "checkbox"].includes(field.type)) return field.checked !== field.defaultChecked;
    return field.type !== "hidden" && field.value !== field.defaultValue;
  });
}

/** Inside of an open dialog whose form was not refused: its person still sees what they saw. */
function isBeingFilled(target: HTMLElement): boolean {
  const dialog = target.closest<HTMLDialogElement>("dialog[open]");
  return dialog !== null && dialog.querySelector('[data-status="409"]') === null;
}

function mayReplace({ target, fragment }: Swap): boolean {
  const next = fragment.firstElementChild as HTMLElement | null;
  const before = target.dataset["digest"];
  if (before === undefined) return true; // a notice, no part
  if (before === next?.dataset["digest"]) return false;
  if (Number(next?.dataset["revision"] ?? 0) < Number(target.dataset["revision"] ?? 0)) return false;
  return !isTouched(target) && !isBeingFilled(target);
}

function isDone(detail: Answer): boolean {
  return detail.xhr.status >= 200 && detail.xhr.status < 300;
}

function clearNotice(form: HTMLFormElement): void {
  const scope = form.closest("[data-notice-scope]") ?? form;
  for (const place of scope.querySelectorAll("[data-notice]")) place.replaceChildren();
}

/** Before the parts are put in place: what was sent is no longer "being typed". */
function onAccepted(event: Event): void {
  const detail = (event as CustomEvent<Answer>).detail;
  if (isOfAnother(detail)) {
    detail.shouldSwap = false;
    return;
  }
  const form = detail.requestConfig.elt.closest("form");
  if (!form || !isDone(detail)) return;
  if (form.hasAttribute("data-empties") || form.hasAttribute("data-closes-when-done")) form.reset();
  if (form.hasAttribute("data-closes-when-done")) form.closest("dialog")?.close();
  if (form.closest("#incident")) clearNotice(form);
}

function fillPreset(button: HTMLElement): void {
  const form = button.closest("form");
  if (!form) return;
  const reason = form.querySelector<HTMLTextAreaElement>('[name="reason"]');
  if (reason) reason.value = button.dataset["preset"] ?? "";
  for (const radio of form.querySelectorAll<HTMLInputElement>('input[type="radio"]')) {
    radio.checked = radio.value === button.dataset["presetValue"];
  }
  form.querySelector<HTMLElement>('button[type="submit"]')?.focus();
}

/** Whom to send is chosen anew each time; what somebody wrote in a dialog stays for the next time. */
function onClose(event: Event): void {
  const dialog = event.target as HTMLElement;
  if (dialog.id === "dispatch-dialog") dialog.querySelector("form")?.reset();
}

/** Whose button is gone with the step that it took goes on with the next one. */
function keepFocus(target: HTMLElement): void {
  if (!target.contains(document.activeElement)) return;
  const id = target.id;
  setTimeout(() => {
    if (document.activeElement !== document.body) return;
    document.getElementById(id)?.querySelector<HTMLElement>(".btn-primary, button, a")?.focus({ preventScroll: true });
  });
}

export function startIncident(): void {
  document.addEventListener("close", onClose, { capture: true });
  document.addEventListener("htmx:oobBeforeSwap", (event) => {
    const detail = (event as CustomEvent<Swap>).detail;
    if (!detail.target.closest("#incident")) return;
    if (mayReplace(detail)) keepFocus(detail.target);
    else detail.shouldSwap = false;
  });
  document.addEventListener("htmx:beforeSwap", onAccepted);
  document.addEventListener("click", (event) => {
    const preset = (event.target as Element).closest<HTMLElement>("[data-preset]");
    if (preset) fillPreset(preset);
  });
}
