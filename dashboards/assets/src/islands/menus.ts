// Menus close when somebody clicks elsewhere; theme and text size change at once and are saved.
import { csrfToken } from "./dom";

function closeMenus(except: Element | null): void {
  for (const menu of document.querySelectorAll<HTMLDetailsElement>("details.menu[open]")) {
    if (menu !== except) menu.open = false;
  }
}

function applyPreference(name: string, value: string): void {
  const root = document.documentElement;
  if (name === "theme") {
    if (value === "auto") delete root.dataset["bsTheme"];
    else root.dataset["bsTheme"] = value;
    document.dispatchEvent(new Event("silverline:theme"));
  } else if (name === "size") {
    root.dataset["size"] = value;
  }
  for (const button of document.querySelectorAll<HTMLButtonElement>(`button[name="${name}"][data-preference]`)) {
    button.setAttribute("aria-pressed", String(button.value === value));
  }
}

async function save(form: HTMLFormElement, name: string, value: string): Promise<void> {
  const body = new URLSearchParams({ [name]: value });
  const headers = { "X-CSRF-Token": csrfToken(), "X-Preference": "1" };
  try {
    await fetch(form.action, { method: "POST", body, headers, redirect: "manual" });
  } catch {
    // Offline: the choice holds on this page and is asked again on the next.
  }
}

export function startMenus(): void {
  document.addEventListener("click", (event) => {
    const target = event.target as Element;
    closeMenus(target.closest("details.menu"));
    if (target.closest("details.menu a[href]")) closeMenus(null);
    const button = target.closest<HTMLButtonElement>("button[data-preference]");
    if (!button?.form) return;
    // Language needs other words from the server, so that form is sent as it stands.
    if (button.name === "locale") return;
    event.preventDefault();
    applyPreference(button.name, button.value);
    void save(button.form, button.name, button.value);
  });
  const dark = matchMedia("(prefers-color-scheme: dark)");
  dark.addEventListener("change", () => document.dispatchEvent(new Event("silverline:theme")));
}
