// Navigation inside the shell: links and forms load by htmx into #main; the shell stays.
//
// Answers hold `<div id="page" data-section="elders">`. After a change of page the focus goes to its
// h1, the rail and the queue show where we are, and the title is the page's.
import { byId, isTyping } from "./dom";

type SwapDetail = {
  xhr: XMLHttpRequest;
  target: HTMLElement;
  boosted?: boolean;
  shouldSwap: boolean;
  isError: boolean;
  selectOverride: string | null;
  swapOverride: string;
  requestConfig: { boosted?: boolean; verb: string; elt: HTMLElement };
  pathInfo: { finalRequestPath: string; responsePath?: string | null };
};
type ConfigDetail = { boosted?: boolean; headers: Record<string, string>; elt: HTMLElement };

/** A plain link or form of the page. One with an hx-target of its own knows where it belongs; an
 *  inherited one (a link inside a fragment that refreshes itself) does not count. */
function isPageChange(element: HTMLElement, boosted: boolean | undefined): boolean {
  return Boolean(boosted) && !element.hasAttribute("hx-target") && byId("main") !== null;
}

function markPlace(): void {
  const section = document.querySelector<HTMLElement>("#page")?.dataset["section"];
  for (const link of document.querySelectorAll<HTMLElement>(".rail [data-section]")) {
    if (link.dataset["section"] === section) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  markQueue();
}

/** The queue's item whose page is open. */
export function markQueue(): void {
  for (const item of document.querySelectorAll<HTMLAnchorElement>("#queue [data-queue-item]")) {
    const { pathname, search } = new URL(item.href, location.href);
    if (pathname === location.pathname && (!search || search === location.search)) item.setAttribute("aria-current", "true");
    else item.removeAttribute("aria-current");
  }
}

function focusHeading(): void {
  const heading = document.querySelector<HTMLElement>("#page h1");
  if (!heading || document.querySelector("#page .error-summary")) return;
  // Who has begun to type in the search meanwhile keeps the focus there.
  if (isTyping(document.activeElement)) return;
  heading.tabIndex = -1;
  heading.focus({ preventScroll: true });
  // Folded layout: the queue stands above the page, so the page is brought into sight.
  if (heading.getBoundingClientRect().top > innerHeight / 2) heading.scrollIntoView({ block: "start" });
}

function beforeSwap(event: Event): void {
  const detail = (event as CustomEvent<SwapDetail>).detail;
  const main = byId("main");
  if (!main || !isPageChange(detail.requestConfig.elt, detail.requestConfig.boosted)) return;
  // A login page has no #page: the session is over, so the whole document goes there.
  if (!/id="page"/.test(detail.xhr.responseText)) {
    detail.shouldSwap = false;
    if (detail.xhr.status < 400) location.assign(detail.xhr.responseURL || location.href);
    return;
  }
  // The queue was refreshed meanwhile and took the link away: htmx has forgotten that it was one, and
  // would show the page under the old address.
  if (!detail.requestConfig.elt.isConnected && detail.requestConfig.verb === "get" && detail.xhr.status < 400) {
    history.replaceState({ htmx: true }, "", location.href);
    history.pushState({ htmx: true }, "", detail.pathInfo.responsePath || detail.pathInfo.finalRequestPath);
  }
  detail.target = main;
  detail.selectOverride = "#page";
  detail.swapOverride = "innerHTML show:window:top";
  const readable = detail.requestConfig.verb === "get" || detail.xhr.status === 422;
  if (detail.xhr.status >= 400 && readable) {
    detail.shouldSwap = true;
    detail.isError = false;
  }
}

export function startNavigation(): void {
  document.addEventListener("htmx:configRequest", (event) => {
    const detail = (event as CustomEvent<ConfigDetail>).detail;
    if (isPageChange(detail.elt, detail.boosted)) detail.headers["HX-Target"] = "main";
  });
  document.addEventListener("htmx:beforeSwap", beforeSwap);
  document.addEventListener("htmx:beforeRequest", (event) => {
    if ((event as CustomEvent<ConfigDetail>).detail.boosted) document.documentElement.dataset["loading"] = "";
  });
  document.addEventListener("htmx:afterRequest", () => delete document.documentElement.dataset["loading"]);
  document.addEventListener("htmx:afterSwap", (event) => {
    if ((event.target as Element).id !== "main") return;
    markPlace();
    focusHeading();
  });
  document.addEventListener("htmx:pushedIntoHistory", markPlace);
  document.addEventListener("htmx:historyRestore", () => {
    markPlace();
    focusHeading();
  });
  markPlace();
}
