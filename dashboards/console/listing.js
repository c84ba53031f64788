// The cameras of one state, beside the wall: what is wrong with each, since when.
import { LISTED, api } from "./api.js";
import { Elapsed, Mark, useTopics } from "./bits.js";
import { html, useEffect, useState } from "./html.js";
import { STATE_NUMBER } from "./marks.js";
import { explain } from "./trouble.js";
import { joined, moment_full, number, t, word } from "./words.js";

/** @typedef {import("./store.js").Store} Store */

/** Changes come in bursts; a list is read again so much later. */
const PAUSE_MS = 1500;

/** Cameras of one state, read again when any of them changes. @param {Store} store @param {string} state */
function useCameras(store, state) {
  const [rows, setRows] = useState(/** @type {any[] | null} */ (null));
  const [failure, setFailure] = useState("");
  useEffect(() => {
    const stop = new AbortController();
    let timer = 0;
    const read = () => {
      timer = 0;
      api.cameras(state, stop.signal)
        .then(({ items }) => { setRows(items); setFailure(""); })
        .catch((error) => stop.signal.aborted || setFailure(explain(error)));
    };
    const later = () => { timer ||= window.setTimeout(read, PAUSE_MS); };
    setRows(null);
    read();
    const stops = [store.on("states", later), store.on("rows", later), store.on("wall", later)];
    return () => {
      stop.abort();
      clearTimeout(timer);
      for (const one of stops) one();
    };
  }, [state]);
  return { rows, failure };
}

/** @param {{ store: Store, state: import("./marks.js").State }} props */
export function ListingView({ store, state }) {
  useTopics(store, "route", "states");
  const { rows, failure } = useCameras(store, state);
  const total = store.total[STATE_NUMBER[state]];
  return html`<section class="incidents listing" id="listing" aria-labelledby="listing-title" data-state=${state}>
    <div class="pane-bar">
      <h2 id="listing-title" class=${`state-${state}`}><${Mark} state=${state} /> ${word("state", state)}</h2>
      <span class="pane-note number">${t("list.count", { n: number(total) })}</span>
      <button class="button quiet" onClick=${() => store.go({ list: "", states: [] })}>${t("list.back")} <kbd>Esc</kbd></button>
    </div>
    <div class="pane-scroll">
      ${failure && html`<p class="failure" role="alert">${failure}</p>`}
      ${!rows && !failure && html`<p class="faint padded">${t("incidents.loading")}</p>`}
      ${rows?.length === 0 && html`<div class="empty"><p>${t("list.none")}</p></div>`}
      <ol>${rows?.map((row) => html`<li key=${row.id} class="row-item"><button class="row" data-row data-camera=${row.id}
          onClick=${() => store.go({ camera: row.id }, { step: true })}>
        <span class="row-name">${row.name}</span>
        <span class="row-end number" title=${moment_full(row.since_at)}><${Elapsed} store=${store} from=${row.since_at} /></span>
        <span class="row-more">${joined([why(row), row.township_name, row.village_name].filter(Boolean), " · ")}</span>
      </button></li>`)}</ol>
      ${rows && rows.length < total && rows.length >= LISTED && html`<p class="faint padded">${t("list.first", { n: number(rows.length) })}</p>`}
    </div>
  </section>`;
}

/** What is wrong, in words. @param {any} row */
function why(row) {
  const found = row.fault_causes.map((/** @type {string} */ cause) => word("fault", cause));
  if (row.outage) found.unshift(word("outage", row.outage.cause));
  if (row.takeover) found.unshift(t("list.takeover"));
  return joined(found);
}
