// The list of incidents (故障单): one line a cause. One is current (j/k), one may be expanded.
import { api } from "./api.js";
import { Acknowledged } from "./acknowledge.js";
import { Elapsed, Mark, useTopics } from "./bits.js";
import { html, useEffect, useRef, useState } from "./html.js";
import { expired, acknowledgement } from "./shapes.js";
import { channels, failed, moment, moment_full, number, t } from "./words.js";

/** @typedef {import("./store.js").Store} Store */
/** @typedef {import("./shapes.js").Incident} Incident */
/** @typedef {import("./shapes.js").Outage} Outage */

const PAGE = 100;
const CHILDREN_LISTED = 300;

/**
 * The open incidents in the order of the list.
 * @param {Store} store @returns {Incident[]}
 */
export function sorted(store) {
  const newest = (/** @type {Incident} */ a, /** @type {Incident} */ b) => b.began_at.localeCompare(a.began_at) || a.id.localeCompare(b.id);
  const rows = [...store.incidents.values()];
  if (store.route.sort === "newest") return rows.sort(newest);
  return rows.sort((a, b) => b.open_children - a.open_children || newest(a, b));
}

/** @param {{ store: Store, current: string, setCurrent: (id: string) => void, onAcknowledge: (incident: Incident) => void }} props */
export function IncidentsView({ store, current, setCurrent, onAcknowledge }) {
  useTopics(store, "incidents", "route");
  const [shown, setShown] = useState(PAGE);
  const rows = sorted(store);
  const affected = rows.reduce((sum, row) => sum + row.open_children, 0);
  const { sort } = store.route;
  return html`<section class="incidents" id="incidents" aria-labelledby="incidents-title">
    <div class="pane-bar">
      <h2 id="incidents-title">${t("incidents.title")}</h2>
      <span class="pane-note number" id="incidents-count">${t("incidents.count", { n: number(rows.length), channels: number(affected) })}</span>
      <div class="switch" role="group">
        ${["biggest", "newest"].map((order) => html`<button key=${order} aria-pressed=${sort === order ? "true" : "false"}
          onClick=${() => store.go({ sort: order === "newest" ? "newest" : "biggest" })}>${order === "newest" ? t("incidents.sort_newest") : t("incidents.sort_biggest")}</button>`)}
      </div>
    </div>
    <div class="pane-scroll">
      ${rows.length === 0 && html`<div class="empty"><p>${t("incidents.none")}</p><p class="faint">${t("incidents.none_detail")}</p></div>`}
      <ol class="incident-list">
        ${rows.slice(0, shown).map((row) => html`<${IncidentRow} key=${row.id} store=${store} incident=${row} current=${row.id === current}
          expanded=${row.id === store.route.incident} setCurrent=${setCurrent} onAcknowledge=${onAcknowledge} />`)}
      </ol>
      ${rows.length > shown && html`<button class="button more" onClick=${() => setShown(shown + PAGE)}>
        ${t("incidents.more", { n: number(Math.min(PAGE, rows.length - shown)) })}</button>`}
    </div>
  </section>`;
}

/** Expands an incident, or closes the one that is. @param {Store} store @param {string} id */
export function toggle(store, id) {
  const closing = store.route.incident === id;
  store.mark([]);
  store.go({ incident: closing ? "" : id, camera: "" }, { step: true });
}

/** @param {{ store: Store, incident: Incident, current: boolean, expanded: boolean, setCurrent: (id: string) => void, onAcknowledge: (incident: Incident) => void }} props */
function IncidentRow({ store, incident, current, expanded, setCurrent, onAcknowledge }) {
  const element = useRef(/** @type {HTMLLIElement | null} */ (null));
  useEffect(() => {
    if (current) element.current?.scrollIntoView({ block: "nearest" });
  }, [current, expanded]);
  const single = incident.root_kind === "channel";
  const note = acknowledgement(incident);
  const settled = note && !expired(note, store.now_ms());
  const kind = [expanded && "expanded", current && "current", settled && "settled", single && "single"].filter(Boolean).join(" ");
  return html`<li ref=${element} class=${`incident ${kind}`} data-incident=${incident.id}>
    <button class="incident-line" data-row onFocus=${() => setCurrent(incident.id)} aria-expanded=${expanded ? "true" : "false"} aria-current=${current ? "true" : undefined}
        onClick=${() => { setCurrent(incident.id); toggle(store, incident.id); }}>
      <span class="incident-name">${incident.root_name}</span>
      <span class="incident-size number">${channels(incident.open_children)}</span>
      <span class="incident-cause">${failed(incident)}${incident.township_name && html`<span class="faint"> · ${incident.township_name}</span>`}
        ${incident.planned && html`<span class="tag">${t("incidents.planned")}</span>`}</span>
      <span class="incident-since" title=${moment_full(incident.began_at)}><${Elapsed} store=${store} from=${incident.began_at} /></span>
    </button>
    ${note && html`<${Acknowledged} store=${store} note=${note} />`}
    ${expanded && html`<${Details} store=${store} incident=${incident} onAcknowledge=${onAcknowledge} />`}
  </li>`;
}

/** @param {{ store: Store, incident: Incident, onAcknowledge: (incident: Incident) => void }} props */
function Details({ store, incident, onAcknowledge }) {
  const [detail, setDetail] = useState(/** @type {(Incident & { outages: Outage[] }) | null} */ (null));
  const [failure, setFailure] = useState("");
  useEffect(() => {
    const stop = new AbortController();
    api.incident(incident.id, stop.signal).then((row) => {
      setDetail(row);
      store.mark(row.outages.filter((/** @type {Outage} */ one) => !one.ended_at).map((/** @type {Outage} */ one) => one.channel));
    }).catch((error) => stop.signal.aborted || setFailure(error.message));
    return () => stop.abort();
  }, [incident.id, incident.children, incident.open_children]);
  useEffect(() => () => store.mark([]), [incident.id]);
  const now = store.now_ms();
  const contact = [incident.maintainer, incident.carrier].filter(Boolean).join(" · ");
  const note = acknowledgement(incident);
  return html`<div class="incident-detail">
    <dl class="facts">
      <div><dt>${t("camera.last_seen")}</dt><dd class="number">${moment(incident.began_after_at, now)}</dd></div>
      <div><dt>${t("camera.first_failed")}</dt><dd class="number">${moment(incident.began_at, now)}</dd></div>
      <div><dt>${t("incidents.confirmed_at")}</dt><dd class="number">${moment(incident.confirmed_at, now)}</dd></div>
      ${contact && html`<div class="wide"><dt>${t("incidents.maintainer")}</dt><dd>${contact}</dd></div>`}
    </dl>
    <div class="actions">
      ${store.may("operate") && html`<button class="button primary" onClick=${() => onAcknowledge(incident)}>
        ${note ? t("incidents.acknowledge_again") : t("incidents.acknowledge")} <kbd>A</kbd></button>`}
      ${incident.root_kind !== "channel" && html`<span class="faint number">${t("incidents.children", { open: number(incident.open_children), all: number(incident.children) })}</span>`}
      ${incident.split_from && html`<span class="faint">${t("incidents.split", { id: incident.split_from })}</span>`}
    </div>
    ${failure && html`<p class="failure">${failure}</p>`}
    ${!detail && !failure && html`<p class="faint">${t("incidents.loading")}</p>`}
    ${detail && html`<${Children} store=${store} outages=${detail.outages} />`}
  </div>`;
}

/** @param {{ store: Store, outages: Outage[] }} props */
function Children({ store, outages }) {
  useTopics(store, "states");
  const open = outages.filter((one) => !one.ended_at);
  const rows = [...open, ...outages.filter((one) => one.ended_at)].slice(0, CHILDREN_LISTED);
  return html`<ol class="children">
      ${rows.map((one) => html`<li key=${one.id}><button class="child" data-camera=${one.channel} onClick=${() => store.go({ camera: one.channel }, { step: true })}>
        <${Mark} state=${one.ended_at ? "online" : store.stateOf(one.channel) ?? "offline"} title=${true} />
        <span class="child-name">${one.camera_name || one.channel}</span>
        <span class="child-place faint">${one.village_name}</span>
        <span class="child-time number">${one.ended_at ? t("incidents.back_up") : moment(one.failed_at, store.now_ms())}</span>
      </button></li>`)}
    </ol>
    ${outages.length > rows.length && html`<p class="faint">${t("incidents.truncated", { n: number(rows.length) })}</p>`}`;
}
