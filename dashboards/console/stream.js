// Keeps the store true: the snapshot, then every change after it, in order; says so when nothing
// is heard. The wall names the last change it knows (`stream_id`), and the stream goes on from there.
import { ApiError, api } from "./api.js";
import { STATES } from "./marks.js";
import { wallOf } from "./shapes.js";
import { explain } from "./trouble.js";

/** @typedef {import("./store.js").Store} Store */

/** The gateway sends at least one event in so many seconds. */
const HEARTBEAT_S = 5;
const SILENT_S = 2 * HEARTBEAT_S;
const TICK_MS = 1000;
const RETRY_MS = 4000;
/** Acknowledgements of other people are not part of the stream. */
const INCIDENTS_AGAIN_MS = 60_000;
const UNAUTHORIZED = 401;

/**
 * Follows the gateway; the function returned stops everything.
 * @param {Store} store
 */
export function follow(store) {
  const stop = new AbortController();
  /** @type {EventSource | null} */
  let source = null;
  let tried_ms = -Infinity;
  let loading = false;

  /** Reads the whole picture, then listens from there on. */
  async function restart() {
    if (loading) return;
    loading = true;
    tried_ms = performance.now();
    source?.close();
    try {
      const codes = await snapshot(store, stop.signal);
      source = listen(store, codes, restart);
      store.setPhase("ready");
    } catch (error) {
      const locked = error instanceof ApiError && error.status === UNAUTHORIZED;
      if (!stop.signal.aborted && !locked && store.phase === "loading") store.setPhase("failed", explain(error));
    } finally {
      loading = false;
    }
  }

  const tick = setInterval(() => {
    const silent = performance.now() - store.heard_ms > SILENT_S * 1000;
    if (silent && store.phase === "ready") store.setStale(true);
    const closed = source !== null && source.readyState === EventSource.CLOSED;
    const wanted = store.phase === "ready" || store.phase === "failed";
    if ((closed || silent || store.phase === "failed") && wanted && performance.now() - tried_ms > RETRY_MS) restart();
    store.tell("tick");
  }, TICK_MS);

  const again = setInterval(() => {
    if (store.phase !== "ready" || store.stale) return;
    // A failure here shows as a silent stream soon enough.
    api.incidents(stop.signal).then((rows) => store.setIncidents(rows)).catch(() => {});
  }, INCIDENTS_AGAIN_MS);

  restart();
  return () => {
    stop.abort();
    source?.close();
    clearInterval(tick);
    clearInterval(again);
  };
}

/**
 * The wall, who asks, the gateway's own gap, and the open incidents.
 * @param {Store} store @param {AbortSignal} signal
 * @returns {Promise<{ names: Record<string, string>, after: string }>}
 */
async function snapshot(store, signal) {
  const wall = await api.wall(signal);
  const [summary, incidents, me] = await Promise.all([api.summary(signal), api.incidents(signal), api.me(signal)]);
  store.me = me;
  store.gap = summary.gap;
  store.firstRound = summary.first_round_at === null;
  takeAsOf(store, wall.as_of);
  const numbers = [...wall.states].map((code) => STATES.indexOf(wall.codes[code]));
  store.setWall(wallOf(wall), numbers);
  store.setIncidents(incidents);
  return { names: wall.codes, after: wall.stream_id };
}

/**
 * @param {Store} store
 * @param {{ names: Record<string, string>, after: string }} from
 * @param {() => void} restart
 */
function listen(store, { names, after }, restart) {
  /** @type {Record<string, (data: any) => void>} */
  const handlers = {
    hello: () => {},
    states: ({ as_of, states }) => {
      takeAsOf(store, as_of);
      store.setStates(states.map((/** @type {[number, string]} */ [index, code]) => [index, names[code]]));
    },
    incident: (row) => store.setIncident(row),
    outage: (row) => store.tell("rows", row.channel),
    fault: (row) => store.tell("rows", row.channel),
    blind_spot: (row) => store.tell("blind_spot", row),
    coverage: (told) => {
      store.coverage = told;
      store.tell("coverage");
    },
    gap: (row) => {
      store.gap = row.ended_at ? null : row;
    },
    as_of: ({ as_of, gap, reasons }) => {
      store.gap = gap;
      store.reasons = reasons;
      takeAsOf(store, as_of);
      if (store.firstRound) firstRound(store);
    },
    // A wall screen that runs for weeks takes a new version of the page with the new run.
    reset: () => (store.route.wall ? location.reload() : restart()),
  };
  const source = new EventSource(`api/v1/stream?last_event_id=${encodeURIComponent(after)}`);
  source.onopen = () => heard(store);
  for (const [name, handle] of Object.entries(handlers)) {
    source.addEventListener(name, (event) => {
      heard(store);
      handle(JSON.parse(event.data));
      store.tell("stream");
    });
  }
  return source;
}

/** @param {Store} store */
function heard(store) {
  store.heard_ms = performance.now();
  store.setStale(false);
}

/** @param {Store} store @param {string | null} asOf */
function takeAsOf(store, asOf) {
  if (asOf) store.asOf = asOf;
}

/** Asks whether every camera has been asked once by now. @param {Store} store */
async function firstRound(store) {
  try {
    store.firstRound = (await api.summary()).first_round_at === null;
    store.tell("stream");
  } catch {
    // Asked again with the next event.
  }
}
