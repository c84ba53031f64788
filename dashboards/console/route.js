// The address bar holds what is shown: filters, selection, language, theme, order.
import { STATES } from "./marks.js";

/** What is shown below the top line; "" = the duty view: state wall and incidents. */
export const PAGES = /** @type {const} */ (["", "coverage", "events", "plans"]);

/**
 * @typedef {object} Route
 * @property {string[]} states only these are lit on the wall; empty = all
 * @property {string} township code of the one township shown; "" = the whole district
 * @property {string} q text to search
 * @property {string} camera id of the camera shown
 * @property {string} incident id of the incident expanded
 * @property {"zh-CN" | "en"} lang
 * @property {"" | "light" | "dark"} theme "" = as the system asks
 * @property {"biggest" | "newest"} sort
 * @property {typeof PAGES[number]} page
 * @property {string} list a state: its cameras are listed instead of the incidents
 * @property {string} tab of a page that has some
 * @property {string} pick what is chosen on a page: a blind spot, an event incident, a plan
 * @property {string} kind of event; "" = all
 * @property {boolean} wall big numbers, no controls: for a screen on the wall
 */

/** @returns {Route} */
export function readRoute() {
  const query = new URLSearchParams(location.search);
  const theme = query.get("theme");
  return {
    states: (query.get("state") ?? "").split(",").filter((s) => STATES.includes(/** @type {any} */ (s))),
    township: query.get("township") ?? "",
    q: query.get("q") ?? "",
    camera: query.get("camera") ?? "",
    incident: query.get("incident") ?? "",
    lang: query.get("lang") === "en" ? "en" : "zh-CN",
    theme: theme === "light" || theme === "dark" ? theme : "",
    sort: query.get("sort") === "newest" ? "newest" : "biggest",
    page: PAGES.find((page) => page === query.get("page")) ?? "",
    list: STATES.find((state) => state === query.get("list")) ?? "",
    tab: query.get("tab") ?? "",
    pick: query.get("pick") ?? "",
    kind: query.get("kind") ?? "",
    wall: query.get("wall") === "1",
  };
}

/**
 * Puts a route into the address bar. A new selection becomes a step of the history (the back
 * button closes it); filters and preferences replace the present step.
 * @param {Route} route
 * @param {boolean} step
 */
export function writeRoute(route, step) {
  const query = new URLSearchParams();
  /** @param {string} name @param {string} value */
  const put = (name, value) => value && query.set(name, value);
  put("wall", route.wall ? "1" : "");
  put("page", route.page);
  put("tab", route.tab);
  put("kind", route.kind);
  put("pick", route.pick);
  put("list", route.list);
  put("state", route.states.join(","));
  put("township", route.township);
  put("q", route.q);
  put("incident", route.incident);
  put("camera", route.camera);
  put("sort", route.sort === "newest" ? "newest" : "");
  put("lang", route.lang === "en" ? "en" : "");
  put("theme", route.theme);
  const text = query.toString().replaceAll("%2C", ",");
  const url = location.pathname + (text ? `?${text}` : "");
  if (url === location.pathname + location.search) return;
  if (step) history.pushState(null, "", url);
  else history.replaceState(null, "", url);
}

export const PREFERS_LIGHT = matchMedia("(prefers-color-scheme: light)");

/** The theme on the screen. @param {Route} route @returns {"light" | "dark"} */
export function themeOf(route) {
  return route.theme || (PREFERS_LIGHT.matches ? "light" : "dark");
}

/** Takes `#token=...` out of the address bar, once. @returns {string} */
export function takeToken() {
  const match = /^#token=(.+)$/.exec(location.hash);
  if (!match) return "";
  history.replaceState(null, "", location.pathname + location.search);
  return decodeURIComponent(match[1]);
}
