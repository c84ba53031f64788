// The line on top: totals, how fresh they are, and banners for what makes them untrue.
import { Elapsed, Mark, useTopics } from "./bits.js";
import { html } from "./html.js";
import { STATES } from "./marks.js";
import { clock, duration, moment, number, t, word } from "./words.js";

/** @typedef {import("./store.js").Store} Store */

/** @param {{ store: Store }} props */
export function Header({ store }) {
  useTopics(store, "phase", "wall", "states", "stream", "route");
  const { total } = store;
  const inUse = STATES.reduce((sum, state, i) => sum + (state === "decommissioned" ? 0 : total[i]), 0);
  return html`<header class="header">
    <div class="brand"><svg class="logo" viewBox="0 0 24 24" aria-hidden="true"><path d="M3 3h8v8H3zM13 3h8v8h-8zM3 13h8v8H3z" /><path class="logo-hot" d="M13 13h8v8h-8z" /></svg>
      <div><div class="brand-name">Sightline</div><h1>${t("app.title")}</h1></div></div>
    <dl class=${`totals ${store.stale ? "old" : ""}`}>
      <div class="total total-all"><dt>${t("header.in_use")}</dt><dd class="number">${number(inUse)}</dd></div>
      ${STATES.map((state, i) => html`<div key=${state} class=${`total state-${state} ${total[i] ? "" : "zero"}`} data-total=${state}>
        <dt title=${word("state", state)}><${Mark} state=${state} /><span class="total-word">${word("state", state)}</span></dt>
        <dd class="number"><${Count} store=${store} state=${state} n=${total[i]} /></dd></div>`)}
    </dl>
    <${AsOf} store=${store} />
  </header>`;
}

/** A count that opens the list behind it. Nobody lists what is in order. @param {{ store: Store, state: string, n: number }} props */
function Count({ store, state, n }) {
  if (state === "online") return number(n);
  const open = store.route.list === state;
  return html`<button class="count" data-list-of=${state} aria-pressed=${open ? "true" : "false"} title=${t("list.open", { state: word("state", state) })}
    onClick=${() => store.go({ page: "", list: open ? "" : state, states: open ? [] : [state], camera: "", incident: "" }, { step: true })}>${number(n)}</button>`;
}

/** @param {{ store: Store }} props */
function AsOf({ store }) {
  return html`<div class=${`as-of ${store.stale ? "old" : ""}`} title=${t("header.zone")}>
    <span class=${`pulse ${store.live && !store.stale ? "live" : ""}`} aria-hidden="true" />
    <span class="as-of-label">${t("header.as_of")} <b class="number" id="as-of">${store.asOf ? clock(store.asOf) : "—"}</b></span>
    <span class="as-of-zone">${t("header.zone")} · ${t(store.live && !store.stale ? "header.live" : "header.silent")}</span>
  </div>`;
}

/** @param {{ store: Store }} props */
export function Banners({ store }) {
  useTopics(store, "stream", "route");
  const { gap, reasons, stale } = store;
  return html`<div class="banners" aria-live="assertive">
    ${stale && html`<${Silence} store=${store} />`}
    ${gap && html`<div class="banner banner-gap" id="gap-banner">
      ${t(`banner.${gap.reason}`, { at: moment(gap.started_at, store.now_ms()) })}
      <span class="banner-time"><${Elapsed} store=${store} from=${gap.started_at} /></span></div>`}
    ${!stale && !store.firstRound && reasons.length > 0 && html`<div class="banner banner-gap">${t("banner.not_ready", { reasons: reasons.join("; ") })}</div>`}
    ${!stale && !gap && store.firstRound && html`<div class="banner banner-note">${t("banner.first_round")}</div>`}
  </div>`;
}

/** @param {{ store: Store }} props */
function Silence({ store }) {
  useTopics(store, "tick");
  const at = store.asOf ? clock(store.asOf) : "—";
  const silent_s = Math.floor((performance.now() - store.heard_ms) / 1000);
  return html`<div class="banner banner-stale" id="stale-banner">${t("banner.stale", { duration: duration(silent_s), at })}</div>`;
}
