// The code of a scanned label: …/console/devices/claim#7K2QF-0M9XD.
//
// What stands behind the "#" is sent to no server. It is taken out of the address at once, kept over
// a login in this tab alone, put into the form and sent from there.
//
//   <input data-claim-code>                    gets the code; its form is sent
//   <input type="checkbox" data-check-all="device">   sets every checkbox of that name in its form
import { eachNew } from "./dom";

const KEPT = "silverline.claim";
const CODE = /^#([0-9A-Z]{5}-[0-9A-Z]{5})$/;

function takeFromAddress(): void {
  const code = CODE.exec(location.hash)?.[1];
  if (!code || (location.pathname !== "/login" && location.pathname !== "/console/devices/claim")) return;
  sessionStorage.setItem(KEPT, code);
  history.replaceState(history.state, "", location.pathname + location.search);
}

function checkAll(box: HTMLInputElement): void {
  const others = box.form?.querySelectorAll<HTMLInputElement>(`input[name="${box.dataset["checkAll"]}"]`);
  for (const other of others ?? []) other.checked = box.checked;
}

export function startClaim(): void {
  takeFromAddress();
  addEventListener("hashchange", () => {
    takeFromAddress();
    // Another label was scanned while the page was open.
    if (sessionStorage.getItem(KEPT)) location.reload();
  });
  eachNew("input[data-claim-code]", (element) => {
    const input = element as HTMLInputElement;
    const code = sessionStorage.getItem(KEPT);
    if (!code) return;
    sessionStorage.removeItem(KEPT);
    input.value = code;
    input.form?.requestSubmit();
  });
  document.addEventListener("change", (event) => {
    const target = event.target;
    if (target instanceof HTMLInputElement && target.dataset["checkAll"]) checkAll(target);
  });
}
