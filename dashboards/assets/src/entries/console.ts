// Everything that a page of the console needs; charts and maps are fetched when a page has one.
import htmx from "htmx.org";
import { startAlarmFeed } from "../islands/alarm-feed";
import { startClaim } from "../islands/claim";
import { startClocks } from "../islands/clocks";
import { startCopying } from "../islands/copying";
import { startDialogs } from "../islands/dialogs";
import { eachNew } from "../islands/dom";
import { startForms } from "../islands/forms";
import { startIncident } from "../islands/incident";
import { startKeyboard } from "../islands/keyboard";
import { startMenus } from "../islands/menus";
import { startNavigation } from "../islands/navigation";

htmx.config.allowEval = false;
startDialogs();
startForms();
startIncident();
startNavigation();
startClocks();
startKeyboard();
startMenus();
startCopying();
startClaim();
startAlarmFeed();
eachNew("[data-chart]", (element) => void import("../islands/chart").then((module) => module.mountChart(element)));
eachNew("[data-map]", (element) => void import("../islands/map").then((module) => module.mountMap(element)));
eachNew("[data-fleet-map]", (element) => void import("../islands/fleet-map").then((module) => module.mountFleetMap(element)));
document.documentElement.dataset["ready"] = "true";
