// Forms are sent once, errors are shown where the person is looking, nothing typed is lost.
//
// A refusal (403, 409, 422, 429, 5xx) of a form or button lands in the nearest [data-notice]: inside
// the form, in the closest [data-notice-scope], else in #notices. The server's page carries its
// sentence in an element with [data-message]; a JSON body {message} works too.
import { byId, csrfToken, icon, make } from "./dom";
import { t } from "./words";

type Detail = { xhr: XMLHttpRequest; elt: HTMLElement; requestConfig?: { verb: string } };

export function notice(kind: "info" | "good" | "warn" | "bad", title: string, text = ""): HTMLElement {
  const icons = { info: "info-circle", good: "check", warn: "alert-triangle", bad: "alert-triangle" };
  const body = make("div", { class: "notice-body" }, make("p", { class: "notice-title" }, title));
  if (text) body.append(make("p", {}, text));
  const close = make("button", { type: "button", class: "btn btn-plain btn-small", "data-dismiss": "", "aria-label": t("关闭提示") });
  close.append(icon("x", "icon-small"));
  return make("div", { class: `notice notice-${kind}`, "data-message": "" }, icon(icons[kind]), body, close);
}

/** Show a notice in the corner, read out politely (or at once when it is bad). */
export function toast(kind: "info" | "good" | "warn" | "bad", title: string, text = ""): void {
  const region = byId("notices");
  if (!region) return;
  const element = notice(kind, title, text);
  if (kind === "bad") element.setAttribute("role", "alert");
  region.append(element);
  if (kind === "good" || kind === "info") setTimeout(() => element.remove(), 8000);
}

function noticePlace(element: HTMLElement): HTMLElement | null {
  // Its page was left before the answer came: it is said in the corner.
  if (!element.isConnected) return null;
  const inside = element.closest("form")?.querySelector<HTMLElement>("[data-notice]");
  const around = element.closest("[data-notice-scope]")?.querySelector<HTMLElement>("[data-notice]");
  return inside ?? around ?? document.querySelector<HTMLElement>("#page [data-notice]");
}

function sentenceOf(status: number, reads: boolean): [string, string] {
  if (status === 0 && reads) return [t("连不上服务器"), t("页面没有打开，请稍后再试一次。")];
  if (status === 0) return [t("连不上服务器"), t("刚才的操作没有保存，请稍后再试一次。")];
  if (status === 401) return [t("登录已过期"), t("刚才的操作没有保存。请先记下填写的内容，再重新登录。")];
  if (status === 403) return [t("您没有这项权限"), t("没有做任何更改。需要时请联系值班长。")];
  if (status === 404) return [t("找不到这一项"), t("它可能已被移除，请刷新列表。")];
  if (status === 409) return [t("别人已先处理"), t("没有覆盖对方的操作，请看最新状态。")];
  if (status === 429) return [t("操作太频繁"), t("请稍等片刻再试。")];
  return [t("服务器出错，没有保存"), t("您填写的内容还在，请再试一次；仍不行请联系管理员。")];
}

function messageOf({ xhr, requestConfig }: Detail): HTMLElement {
  const type = xhr.getResponseHeader("content-type") ?? "";
  if (xhr.status && type.includes("html")) {
    const page = new DOMParser().parseFromString(xhr.responseText, "text/html");
    // The shell around an error page has notices of its own.
    const found = page.querySelector<HTMLElement>("#page [data-message]") ?? page.querySelector<HTMLElement>("[data-message]");
    if (found) return document.importNode(found, true);
  }
  const [title, text] = sentenceOf(xhr.status, requestConfig?.verb === "get");
  return notice(xhr.status === 409 ? "warn" : "bad", title, text);
}

function showRefusal(detail: Detail): void {
  const message = messageOf(detail);
  message.setAttribute("role", "alert");
  message.dataset["status"] = String(detail.xhr.status);
  const place = noticePlace(detail.elt);
  if (!place) {
    byId("notices")?.append(message);
    return;
  }
  message.tabIndex = -1;
  place.replaceChildren(message);
  message.focus({ preventScroll: false });
  if (detail.xhr.status === 409) document.dispatchEvent(new Event("silverline:stale"));
}

function isQuiet(element: HTMLElement): boolean {
  return element.closest("[data-quiet-errors]") !== null;
}

/** Whether somebody has written something into the form. */
function isWritten(form: HTMLFormElement | null): boolean {
  const fields = form?.querySelectorAll<HTMLInputElement | HTMLTextAreaElement>("textarea, input:not([type]), input[type=text]") ?? [];
  return [...fields].some((field) => field.value.trim() !== "" && field.value !== field.defaultValue);
}

function setBusy(form: HTMLFormElement, busy: boolean): void {
  if (busy) form.dataset["busy"] = "";
  else delete form.dataset["busy"];
}

export function startForms(): void {
  document.addEventListener(
    "submit",
    (event) => {
      const form = event.target as HTMLFormElement;
      if (form.method === "dialog") return;
      if ("busy" in form.dataset) {
        event.preventDefault();
        event.stopImmediatePropagation();
        return;
      }
      if (form.method.toLowerCase() === "post") setBusy(form, true);
    },
    { capture: true },
  );
  document.addEventListener("htmx:configRequest", (event) => {
    (event as CustomEvent<{ headers: Record<string, string> }>).detail.headers["X-CSRF-Token"] = csrfToken();
  });
  addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll<HTMLFormElement>("form[data-busy]")) setBusy(form, false);
  });
  document.addEventListener("htmx:afterRequest", (event) => {
    const form = (event as CustomEvent<Detail>).detail.elt.closest("form");
    if (form) setBusy(form, false);
  });
  for (const name of ["htmx:responseError", "htmx:sendError", "htmx:timeout"]) {
    document.addEventListener(name, (event) => {
      const detail = (event as CustomEvent<Detail>).detail;
      if (!isQuiet(detail.elt)) showRefusal(detail);
    });
  }
  // A session that is over must not take away what was written.
  document.addEventListener("htmx:beforeOnLoad", (event) => {
    const { detail } = event as CustomEvent<Detail>;
    if (detail.xhr.status !== 401 || isQuiet(detail.elt) || !isWritten(detail.elt.closest("form"))) return;
    event.preventDefault();
    showRefusal(detail);
  });
  // A form whose page was left meanwhile has nobody around it who hears; its target still has.
  document.addEventListener("htmx:beforeSwap", (event) => {
    const { xhr, isError, requestConfig } = (event as CustomEvent<Detail & { isError: boolean; requestConfig: Detail & { verb: string } }>).detail;
    if (isError && !requestConfig.elt.isConnected && !isQuiet(requestConfig.elt)) showRefusal({ xhr, elt: requestConfig.elt, requestConfig });
  });
  document.addEventListener("click", (event) => {
    (event.target as Element).closest("[data-dismiss]")?.closest(".notice")?.remove();
  });
  focusSummary();
  document.addEventListener("htmx:afterSettle", focusSummary);
}

function focusSummary(): void {
  document.querySelector<HTMLElement>(".error-summary:not([data-seen])")?.focus();
  for (const summary of document.querySelectorAll<HTMLElement>(".error-summary")) summary.dataset["seen"] = "";
}
