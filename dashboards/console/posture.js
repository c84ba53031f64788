// Where the posture (平战联控) is heightened now, until when and why: asked again every half minute.
import { api } from "./api.js";
import { useTopics } from "./bits.js";
import { html, useMemo } from "./html.js";
import { usePolled } from "./polled.js";
import { moment, number, t } from "./words.js";

/** @typedef {import("./store.js").Store} Store */
/** @typedef {{ id: string, level: string, area: string, from_at: string, until_at: string | null, actor: string, reason: string }} Posture */

const AGAIN_MS = 30_000;
const BY_SCHEDULE = "schedule";

/**
 * Those that heighten their area at a time. Of one area the gateway lets what a person set go before what is
 * planned, then what began last: so do we.
 * @param {readonly Posture[]} rows
 * @param {number} now_ms
 * @returns {Posture[]} the widest areas first
 */
export function heightened(rows, now_ms) {
  /** @type {Map<string, Posture>} */
  const decides = new Map();
  for (const row of rows) {
    const holds = Date.parse(row.from_at) <= now_ms && (row.until_at === null || Date.parse(row.until_at) > now_ms);
    const before = decides.get(row.area);
    if (holds && (!before || goesBefore(row, before))) decides.set(row.area, row);
  }
  return [...decides.values()].filter((row) => row.level === "heightened")
    .sort((a, b) => a.area.length - b.area.length || (a.area < b.area ? -1 : 1));
}

/** @param {Posture} one @param {Posture} other */
function goesBefore(one, other) {
  const byHand = Number(one.actor !== BY_SCHEDULE) - Number(other.actor !== BY_SCHEDULE);
  const later = Date.parse(one.from_at) - Date.parse(other.from_at);
  return (byHand || later || (one.id > other.id ? 1 : -1)) > 0;
}

/** @param {{ store: Store }} props */
export function PostureBadge({ store }) {
  useTopics(store, "wall", "freshness");
  const { data } = usePolled((signal) => api.postures(signal), AGAIN_MS, []);
  const names = useMemo(() => namesOf(store), [store.wall]);
  const now = store.now_ms();
  const found = heightened(data?.items ?? [], now);
  const first = found[0];
  if (!first) return null;
  const area = (/** @type {Posture} */ row) => (row.area ? names.get(row.area) ?? row.area : t("posture.district"));
  const one = (/** @type {Posture} */ row) => (row.until_at
    ? t("posture.until", { area: area(row), until: moment(row.until_at, now, { short: true }) })
    : t("posture.open", { area: area(row) }));
  const text = found.length > 1 ? t("posture.several", { first: one(first), n: number(found.length) }) : one(first);
  return html`<span class="posture" id="posture" role="status" title=${found.map((row) => `${one(row)} · ${row.reason}`).join("\n")}>${text}</span>`;
}

/** Names of townships and villages by their codes. @param {Store} store */
function namesOf(store) {
  /** @type {Map<string, string>} */
  const names = new Map();
  for (const one of store.wall.channels) names.set(one.village, one.villageName);
  for (const one of store.wall.townships) names.set(one.code, one.name);
  return names;
}
