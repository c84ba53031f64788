// Events (事件): what cameras and sensors reported, which grid cells it concerns, who sees the place, and what
// the center did with the alert.
import { api } from "./api.js";
import { Elapsed, Mark, useTopics } from "./bits.js";
import { useGround } from "./coverage_data.js";
import { html, useMemo } from "./html.js";
import { MapView, collection, eventLayers } from "./map.js";
import { usePolled } from "./polled.js";
import { compass, distance, moment, moment_full, number, t, word } from "./words.js";

/** @typedef {import("./store.js").Store} Store */

const AGAIN_MS = 5000;
const KINDS = [
  "smoke", "gas", "sos", "water_level", "door", "pole_tilt", "cabinet_power", "cabinet_temperature", "temperature",
  "tamper", "signal_loss", "scene_change", "too_dark", "too_bright", "too_blurry", "hardware_failure", "storage_failure",
  "digital_input", "relay", "motion", "field_detection", "line_crossing", "outage", "uplink_lost", "blind_spot",
];
/** The loop of an alert after it was sent. */
const STEPS = ["received", "dispatched", "in_progress", "closed"];
const CAMERAS = 8;
/** Whoever reads the feed gets it there: no sending. */
const FEED = "feed";
/** Rows that wait for a digest stand under names that begin so. */
const GATHERED = "digest:";
const CENTER = "center";

/** @param {{ store: Store }} props */
export function EventsPage({ store }) {
  useTopics(store, "route", "freshness");
  const { route } = store;
  const kind = KINDS.includes(route.kind) ? route.kind : "";
  const open = route.tab !== "all";
  const list = usePolled((signal) => api.events(kind, open, signal), AGAIN_MS, [kind, open]);
  const ground = useGround(store);
  const rows = list.data?.items ?? [];
  const points = useMemo(() => list.data && pointsOf(list.data.items), [list.data]);
  const chosen = useMemo(() => points?.features.filter((/** @type {any} */ one) => one.id === route.pick) ?? [], [points, route.pick]);
  const choose = (/** @type {string} */ id) => store.go({ pick: route.pick === id ? "" : id, camera: "" });
  return html`<section class="coverage" aria-label=${t("map.title")}>
      <${MapView} store=${store} sources=${{ ...ground, events: points }} more=${eventLayers} chosen=${chosen}
        onPick=${{ events: (_id, one) => choose(one.event), cameras: (_id, one) => store.go({ camera: one.channel }, { step: true }) }} />
    </section>
    <section class="incidents lists" id="events" aria-labelledby="events-title">
      <div class="pane-bar">
        <h2 id="events-title">${t("events.title")}</h2>
        <select class="field" aria-label=${t("events.kind")} value=${kind} onChange=${(/** @type {any} */ event) => store.go({ kind: event.target.value, pick: "" })}>
          <option value="">${t("events.all_kinds")}</option>
          ${KINDS.map((one) => html`<option key=${one} value=${one}>${word("event", one)}</option>`)}
        </select>
        <span class="spring" />
        <div class="switch" role="group">${[true, false].map((one) => html`<button key=${String(one)} aria-pressed=${open === one ? "true" : "false"}
          onClick=${() => store.go({ tab: one ? "" : "all", pick: "" })}>${t(one ? "events.open" : "events.all")}</button>`)}</div>
      </div>
      <div class="pane-scroll">
        ${list.missing ? html`<div class="empty"><p>${t("events.off")}</p></div>` : list.failure && html`<p class="failure padded" role="alert">${list.failure}</p>`}
        ${!list.data && !list.failure && html`<p class="faint padded">${t("incidents.loading")}</p>`}
        ${list.data && !rows.length && html`<div class="empty"><p>${t(open ? "events.none_open" : "events.none")}</p></div>`}
        <ol>${rows.map((/** @type {any} */ row) => html`<${EventRow} key=${row.id} store=${store} row=${row} here=${row.id === route.pick} choose=${choose} />`)}</ol>
      </div>
    </section>`;
}

/** @param {any[]} rows */
function pointsOf(rows) {
  return collection(rows.filter((row) => row.longitude !== null && row.latitude !== null).map((row) => ({
    type: "Feature", id: row.id, properties: { event: row.id, severity: row.severity, open: row.ended_at === null },
    geometry: { type: "Point", coordinates: [row.longitude, row.latitude] },
  })));
}

/** Where it was: the camera or sensor, else the cell. @param {Store} store @param {any} row */
function placeOf(store, row) {
  if (row.channel) return store.wall.channels[store.indexOf.get(row.channel) ?? -1]?.name ?? row.channel;
  return row.sensor_name ?? row.sensor ?? row.links[0]?.grid ?? row.id;
}

/** @param {{ store: Store, row: any, here: boolean, choose: (id: string) => void }} props */
function EventRow({ store, row, here, choose }) {
  const town = store.wall.townships.find((one) => one.code === row.links[0]?.township)?.name;
  return html`<li class=${`row-item event severity-${row.severity} ${here ? "current" : ""} ${row.ended_at ? "minor" : ""}`} data-event=${row.id}>
    <button class="row" data-row aria-expanded=${here ? "true" : "false"} aria-current=${here ? "true" : undefined} onClick=${() => choose(row.id)}>
      <span class="row-name">${word("event", row.kind)}<span class="severity">${word("severity", row.severity)}</span></span>
      <span class="row-end number" title=${moment_full(row.began_at)}>${row.ended_at ? moment(row.began_at, store.now_ms()) : html`<${Elapsed} store=${store} from=${row.began_at} />`}</span>
      <span class="row-more">${placeOf(store, row)}${town && html`<span class="faint"> · ${town}</span>`}</span>
      <span class="row-end faint number">${row.signals > 1 && t("events.signals", { n: number(row.signals) })}</span>
    </button>
    ${here && html`<${Detail} store=${store} row=${row} />`}
  </li>`;
}

/** @param {{ store: Store, row: any }} props */
function Detail({ store, row }) {
  const { data, failure } = usePolled((signal) => api.event(row.id, signal), AGAIN_MS, [row.id, row.last_at]);
  const shown = data ?? row;
  const villages = useMemo(() => new Map(store.wall.channels.map((one) => [one.village, one.villageName])), [store.wall]);
  return html`<div class="incident-detail">
    <dl class="facts">
      <div><dt>${t("events.began")}</dt><dd class="number">${moment(row.began_at, store.now_ms())}</dd></div>
      <div><dt>${t("events.last")}</dt><dd class="number">${moment(row.last_at, store.now_ms())}</dd></div>
      <div><dt>${t("events.ended")}</dt><dd class="number">${row.ended_at ? moment(row.ended_at, store.now_ms()) : t("events.open")}</dd></div>
      ${shown.note && html`<div class="wide"><dt>${t("events.note")}</dt><dd>${shown.note}</dd></div>`}
    </dl>
    <h4>${t("events.path")}</h4>
    ${failure && html`<p class="failure">${failure}</p>`}
    ${data && html`<${Path} store=${store} alerts=${data.alerts} receipts=${data.receipts} />`}
    <h4>${t("events.grids")}</h4>
    ${!shown.links.length && html`<p class="faint">${t("events.no_grid")}</p>`}
    <ul class="links">${shown.links.map((/** @type {any} */ link) => html`<li key=${link.grid} data-grid=${link.grid}>
      <span>${villages.get(link.village) ?? ""} <span class="number faint">${link.grid}</span></span>
      <span class="number">${link.reason === "contains" ? t("events.inside") : link.reason === "in_view" ? t("events.in_view") : `${compass(link.bearing_deg)} ${distance(link.distance_m)}`}</span></li>`)}</ul>
    <h4>${t("events.cameras")}</h4>
    ${!shown.cameras.length && html`<p class="faint">${t("events.no_camera")}</p>`}
    <ul class="links">${shown.cameras.slice(0, CAMERAS).map((/** @type {any} */ one) => {
      const state = store.stateOf(one.channel) ?? "unknown";
      return html`<li key=${one.channel}><button class="link" data-camera=${one.channel} onClick=${() => store.go({ camera: one.channel }, { step: true })}>
        <${Mark} state=${state} title=${true} /> ${store.wall.channels[store.indexOf.get(one.channel) ?? -1]?.name ?? one.channel}</button>
        <span class="number">${word("view", one.view)} · ${distance(one.distance_m)}</span></li>`;
    })}</ul>
  </div>`;
}

/** Sent, then what the center did: 签收, 派单, 处置, 办结. @param {{ store: Store, alerts: any[], receipts: any[] }} props */
function Path({ store, alerts, receipts }) {
  if (!alerts.length) return html`<p class="faint">${t("events.no_alert")}</p>`;
  const now = store.now_ms();
  const wrong = receipts.find((one) => one.step === "false_alarm");
  const of = (/** @type {string} */ step) => receipts.filter((one) => one.step === step).at(-1);
  const steps = [
    ...sendings(alerts),
    ...STEPS.map((step) => ({ name: step, text: word("receipt", step), at: of(step)?.at, note: [of(step)?.actor, of(step)?.text].filter(Boolean).join(" · ") })),
    ...(wrong ? [{ name: "false_alarm", text: word("receipt", "false_alarm"), at: wrong.at, note: [wrong.actor, wrong.text].filter(Boolean).join(" · ") }] : []),
  ];
  return html`<ol class="path">${steps.map(({ name, text, at, note, failed }) => html`<li key=${name} class=${at ? "done" : "waits"} data-step=${name}>
    <b>${text}</b><span class="number">${at ? moment(at, now) : "—"}</span>${note && html`<span class=${failed ? "failure" : "faint"}>${note}</span>`}</li>`)}</ol>`;
}

/** @typedef {{ name: string, text: string, at?: string | null, note: string, failed?: boolean }} Step */

/**
 * What became of the messages to each recipient. What stands in the feed was sent to nobody, and what a digest
 * gathered goes with that.
 * @param {any[]} alerts of one incident
 * @returns {Step[]}
 */
export function sendings(alerts) {
  const gathered = alerts.some((one) => one.recipient.startsWith(GATHERED));
  const sent = alerts.filter((one) => one.recipient !== FEED && !one.recipient.startsWith(GATHERED));
  const names = [...new Set(sent.map((one) => one.recipient))].sort((a, b) => Number(b === CENTER) - Number(a === CENTER));
  if (!names.length) return [{ name: "sent", text: t("events.sent"), note: t(gathered ? "events.gathered" : "events.feed_only") }];
  return names.map((name) => sending(name, sent.filter((one) => one.recipient === name)));
}

/** @param {string} name @param {any[]} rows its messages @returns {Step} */
function sending(name, rows) {
  const center = name === CENTER;
  const at = rows.find((one) => one.state === "delivered")?.delivered_at;
  const newest = rows.reduce((one, other) => (other.revision > one.revision ? other : one));
  const note = { dead: () => t(at ? "events.dead_later" : "events.dead", { reason: newest.reason }),
    pending: () => (newest.attempts ? t("events.retrying", { n: number(newest.attempts), reason: newest.reason }) : t(at ? "events.waiting_later" : "events.waiting")) }[/** @type {string} */ (newest.state)];
  return { name: center ? "sent" : `sent-${name}`, text: center ? t("events.sent") : t("events.sent_to", { name }), at, note: note ? note() : "", failed: newest.state === "dead" };
}
