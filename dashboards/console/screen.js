// The screen on the wall (?wall=1): big numbers, the squares, the biggest causes. No controls, nothing to hover.
import { api } from "./api.js";
import { Elapsed, Mark, useTopics } from "./bits.js";
import { html, useEffect } from "./html.js";
import { sorted } from "./incidents.js";
import { STATES } from "./marks.js";
import { Squares, groupsOf } from "./wall.js";
import { channels, clock, failed, number, share, t, word } from "./words.js";

/** @typedef {import("./store.js").Store} Store */

const CAUSES = 7;
const AGAIN_MS = 30_000;
const anyOf = () => true;

/** @param {{ store: Store }} props */
export function Screen({ store }) {
  useTopics(store, "wall", "states", "incidents", "stream", "coverage", "route");
  useEffect(() => {
    const stop = new AbortController();
    const read = () => api.coverage("", stop.signal).then((told) => { store.coverage = told; store.tell("coverage"); }).catch(() => {});
    read();
    const timer = setInterval(read, AGAIN_MS);
    return () => {
      stop.abort();
      clearInterval(timer);
    };
  }, []);
  const { total, coverage } = store;
  const rows = sorted(store);
  return html`<main class=${`screen ${store.stale ? "old" : ""}`}>
    <header class="screen-top"><h1>${t("app.title")}</h1><span class="screen-time number">${store.asOf ? clock(store.asOf) : "—"}
      <small>${t("header.zone")} · ${t(store.live && !store.stale ? "header.live" : "header.silent")}</small></span></header>
    <dl class="screen-counts">
      ${STATES.filter((state) => state !== "decommissioned").map((state) => html`<div key=${state} class=${`state-${state}`} data-total=${state}>
        <dt><${Mark} state=${state} /> ${word("state", state)}</dt><dd class="number">${number(total[STATES.indexOf(state)])}</dd></div>`)}
      ${coverage?.listed && html`<div><dt>${t("coverage.rate")}</dt><dd class="number">${share(coverage.seen_share)}</dd></div>`}
    </dl>
    <div class="screen-body">
      ${store.phase === "ready" && html`<${Squares} store=${store} groups=${groupsOf(store)} lit=${anyOf} faint=${false} />`}
      <section class="screen-causes"><h2>${t("incidents.title")} <span class="number">${number(rows.length)}</span></h2>
        <ol>${rows.slice(0, CAUSES).map((row) => html`<li key=${row.id}><b>${row.root_name}</b><span class="number">${channels(row.open_children)}</span>
          <span class="faint">${failed(row)}</span><span class="faint number"><${Elapsed} store=${store} from=${row.began_at} /></span></li>`)}</ol></section>
    </div>
  </main>`;
}
