// Language, numbers, times and durations as people read them. Times are shown in Asia/Shanghai.
import { MESSAGES } from "./messages.js";

const ZONE = "Asia/Shanghai";
const DAY_S = 86_400;

/** @typedef {"zh-CN" | "en"} Language */

/** @type {Language} */
let language = "zh-CN";

/** @type {Map<string, Intl.NumberFormat | Intl.DateTimeFormat>} */
const formats = new Map();

/** @returns {Language} */
export function currentLanguage() {
  return language;
}

/** @param {Language} chosen */
export function useLanguage(chosen) {
  language = chosen;
  formats.clear();
  document.documentElement.lang = chosen;
}

/**
 * The text of a key, with `{name}` parts filled in. An unknown key shows itself.
 * @param {string} key
 * @param {Record<string, string | number>} [values]
 */
export function t(key, values = {}) {
  const text = MESSAGES[language][key] ?? key;
  return text.replace(/\{(\w+)\}/g, (_whole, name) => String(values[name] ?? ""));
}

/**
 * The word for a code of a closed list (`offline`, `uplink`...); an unknown code shows itself.
 * @param {"state" | "meaning" | "outage" | "down" | "fault" | "ending" | "step" | "banner"
 *   | "place" | "placemeaning" | "event" | "severity" | "receipt" | "plan" | "view" | "wind" | "field" | "sure"} list
 * @param {string | null | undefined} code
 */
export function word(list, code) {
  if (!code) return "";
  return MESSAGES[language][`${list}.${code}`] ?? code;
}

/**
 * What failed, as an incident says it: a node of the network by its kind, a camera by why it is silent.
 * @param {{ root_kind: string, cause: string }} incident
 */
export function failed(incident) {
  const known = `down.${incident.root_kind}` in MESSAGES[language];
  return known ? word("down", incident.root_kind) : word("outage", incident.cause);
}

/** @param {number} value @param {Intl.NumberFormatOptions} [options] */
export function number(value, options = {}) {
  const name = `n${JSON.stringify(options)}`;
  if (!formats.has(name)) formats.set(name, new Intl.NumberFormat(language, options));
  return /** @type {Intl.NumberFormat} */ (formats.get(name)).format(value);
}

/** "143 路". @param {number} count */
export function channels(count) {
  return t("unit.channels", { n: number(count) });
}

/**
 * A part of all as percent, cut off and not rounded: what is not whole is never shown as 100 %.
 * @param {number | null | undefined} part @param {number} [digits]
 */
export function share(part, digits = 1) {
  if (part === null || part === undefined) return "—";
  const scale = 10 ** (digits + 2);
  const cut = Math.floor(part * scale + 1e-6) / scale;
  if (part > 1e-9 && cut === 0) return `<${share(1 / scale, digits)}`;
  return number(cut, { style: "percent", minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/**
 * What is won, or how far off a figure may be, with its sign; a trace says what it is less than, nothing is a dash.
 * @param {number} part @param {"+" | "±"} [sign]
 */
export function signed(part, sign = "+") {
  if (!(part > 1e-9)) return "—";
  const text = share(part, 2);
  return text.startsWith("<") ? text : sign + text;
}

/** Square metres, or square kilometres where there are many. @param {number} m2 */
export function area(m2) {
  if (m2 < 100_000) return t("unit.m2", { n: number(Math.round(m2)) });
  return t("unit.km2", { n: number(m2 / 1e6, { maximumFractionDigits: 2 }) });
}

/** @param {number} m */
export function distance(m) {
  return m < 1000 ? t("unit.m", { n: number(Math.round(m)) }) : t("unit.km", { n: number(m / 1000, { maximumFractionDigits: 1 }) });
}

/** @param {number} yuan */
export function money(yuan) {
  return number(yuan, { style: "currency", currency: "CNY", maximumFractionDigits: 0 });
}

const WINDS = ["n", "ne", "e", "se", "s", "sw", "w", "nw"];

/** The wind of a bearing: "东北". @param {number | null} degrees clockwise from north */
export function compass(degrees) {
  return degrees === null ? "" : word("wind", WINDS[Math.round(degrees / 45) % 8]);
}

/** Wind and degrees. @param {number} degrees */
export function bearing(degrees) {
  return `${compass(degrees)} ${number(Math.round(degrees))}°`;
}

/** Several names in a row. @param {string[]} names @param {string} [by] */
export function joined(names, by = language === "en" ? ", " : "、") {
  return names.join(by);
}

/** @param {number} ms */
export function milliseconds(ms) {
  const digits = ms < 10 ? 1 : 0;
  return t("unit.milliseconds", { n: number(ms, { maximumFractionDigits: digits }) });
}

/** @param {Date} at @param {Intl.DateTimeFormatOptions} options */
function inZone(at, options) {
  const name = `d${JSON.stringify(options)}`;
  if (!formats.has(name)) {
    const all = { ...options, timeZone: ZONE, hourCycle: /** @type {const} */ ("h23") };
    formats.set(name, new Intl.DateTimeFormat(language === "en" ? "en-GB" : language, all));
  }
  return /** @type {Intl.DateTimeFormat} */ (formats.get(name)).format(at);
}

const CLOCK = /** @type {const} */ ({ hour: "2-digit", minute: "2-digit", second: "2-digit" });
const CLOCK_SHORT = /** @type {const} */ ({ hour: "2-digit", minute: "2-digit" });
const DATE = /** @type {const} */ ({ month: "2-digit", day: "2-digit" });
const DATE_FULL = /** @type {const} */ ({ year: "numeric", month: "2-digit", day: "2-digit" });

/** "13:07:12". @param {string | Date | number} at */
export function clock(at) {
  return inZone(new Date(at), CLOCK);
}

/**
 * The time alone on the same day, else with its date.
 * @param {string | null | undefined} at
 * @param {number} now_ms
 * @param {{ short?: boolean }} [options] without seconds
 */
export function moment(at, now_ms, { short = false } = {}) {
  if (!at) return t("time.never");
  const then = new Date(at);
  const time = inZone(then, short ? CLOCK_SHORT : CLOCK);
  const day = inZone(then, DATE_FULL);
  if (day === inZone(new Date(now_ms), DATE_FULL)) return time;
  const sameYear = day.slice(-4) === inZone(new Date(now_ms), DATE_FULL).slice(-4)
    || day.slice(0, 4) === inZone(new Date(now_ms), DATE_FULL).slice(0, 4);
  return `${sameYear ? inZone(then, DATE) : day} ${time}`;
}

/** Full date and time, for titles. @param {string | null | undefined} at */
export function moment_full(at) {
  if (!at) return t("time.never");
  const then = new Date(at);
  return `${inZone(then, DATE_FULL)} ${inZone(then, CLOCK)} ${t("header.zone")}`;
}

/** @type {readonly (readonly ["day" | "hour" | "minute" | "second", number])[]} */
const UNITS = [["day", DAY_S], ["hour", 3600], ["minute", 60], ["second", 1]];

/** The two largest units: "3小时12分钟". @param {number} seconds */
export function duration(seconds) {
  let rest = Math.max(0, Math.round(seconds));
  const first = UNITS.findIndex(([, size]) => rest >= size);
  if (first < 0) return unit(0, "second");
  const parts = [];
  for (const [name, size] of UNITS.slice(first, first + 2)) {
    const n = Math.floor(rest / size);
    rest -= n * size;
    if (n > 0) parts.push(unit(n, name));
  }
  return parts.join(language === "en" ? " " : "");
}

/** @param {number} n @param {"day" | "hour" | "minute" | "second"} name */
function unit(n, name) {
  const unitDisplay = language === "en" ? "narrow" : "short";
  return number(n, { style: "unit", unit: name, unitDisplay }).replace(/\s/g, "");
}

/** Seconds between two ISO times. @param {string} from @param {string | number} to */
export function seconds_between(from, to) {
  return (new Date(to).getTime() - new Date(from).getTime()) / 1000;
}

/** Sorts names the way the language does. @param {string} a @param {string} b */
export function compare(a, b) {
  return a.localeCompare(b, language, { numeric: true });
}
