// The picture of the fleet in this browser, and who wants to hear of changes to it. Everything is
// bounded: channels by the archive, open incidents by what is open, no history is kept.
import { clockAhead_ms } from "./api.js";
import { STATES, STATE_NUMBER } from "./marks.js";
import { readRoute, writeRoute } from "./route.js";

/** @typedef {import("./route.js").Route} Route */
/** @typedef {import("./shapes.js").Incident} Incident */
/** @typedef {import("./shapes.js").Wall} Wall */
/** @typedef {import("./shapes.js").Gap} Gap */

/**
 * What can change: `phase` (loading, ready...), `wall` (who is on it), `states` (some squares),
 * `incidents`, `rows` (an outage or fault of a channel, by id), `stream` (as of, gateway
 * gap), `freshness` (live or silent), `route`, `tick` (each second), `coverage` (the headline),
 * `blind_spot` (one row).
 * @typedef {"phase" | "wall" | "states" | "incidents" | "rows" | "stream" | "freshness" | "route"
 *   | "tick" | "coverage" | "blind_spot"} Topic
 */

/** @typedef {"loading" | "ready" | "locked" | "failed"} Phase */

/**
 * Totals by state, in the order of `STATES`.
 * @typedef {Uint32Array} Counts
 */

export class Store {
  constructor() {
    /** @type {Map<Topic, Set<(detail?: any) => void>>} */
    this.listeners = new Map();
    /** @type {Route} */
    this.route = readRoute();
    /** @type {Phase} */
    this.phase = "loading";
    this.failure = "";
    /** @type {Wall} */
    this.wall = { channels: [], townships: [] };
    this.states = new Uint8Array(0);
    /** @type {Map<string, number>} */
    this.indexOf = new Map();
    /** @type {Counts[]} by township, in the order of the wall */
    this.byTownship = [];
    /** @type {Counts} */
    this.total = new Uint32Array(STATES.length);
    /** @type {Map<string, Incident>} */
    this.incidents = new Map();
    /** Channels of the incident that is expanded, by index. @type {Set<number>} */
    this.marked = new Set();
    /** @type {Gap | null} */
    this.gap = null;
    /** Why the gateway is not ready, in its own words. @type {string[]} */
    this.reasons = [];
    /** @type {string | null} */
    this.asOf = null;
    /** Not every camera has been asked once yet. */
    this.firstRound = false;
    /** Who is signed in, and what they may do. @type {{ name: string, role: string, may: string[] } | null} */
    this.me = null;
    /** The headline of coverage as last heard; null = not asked for, or there is none. @type {any} */
    this.coverage = null;
    this.live = false;
    this.stale = false;
    this.heard_ms = performance.now();
  }

  /**
   * @param {Topic} topic @param {(detail?: any) => void} listener
   * @returns {() => void} stops listening
   */
  on(topic, listener) {
    const all = this.listeners.get(topic) ?? new Set();
    this.listeners.set(topic, all.add(listener));
    return () => all.delete(listener);
  }

  /** @param {Topic} topic @param {any} [detail] */
  tell(topic, detail) {
    for (const listener of [...(this.listeners.get(topic) ?? [])]) listener(detail);
  }

  /** The gateway's present: durations do not depend on the clock of this computer. */
  now_ms() {
    return Date.now() + clockAhead_ms();
  }

  /** @param {"operate" | "plan"} right */
  may(right) {
    return this.me === null || this.me.may.includes(right);
  }

  /** @param {Partial<Route>} changes @param {{ step?: boolean }} [options] */
  go(changes, { step = false } = {}) {
    this.route = { ...this.route, ...changes };
    writeRoute(this.route, step);
    this.tell("route");
  }

  /** @param {Phase} phase @param {string} [failure] */
  setPhase(phase, failure = "") {
    this.phase = phase;
    this.failure = failure;
    this.tell("phase");
  }

  /** @param {Wall} wall @param {number[]} states numbers by index */
  setWall(wall, states) {
    this.wall = wall;
    this.states = Uint8Array.from(states);
    this.indexOf = new Map(wall.channels.map((channel, index) => [channel.id, index]));
    this.byTownship = wall.townships.map(() => new Uint32Array(STATES.length));
    this.total = new Uint32Array(STATES.length);
    wall.channels.forEach((channel, index) => this.#count(channel.place, this.states[index], 1));
    this.tell("wall");
  }

  /** @param {[number, string][]} pairs index and state */
  setStates(pairs) {
    const changed = new Set();
    for (const [index, name] of pairs) {
      const state = STATE_NUMBER[name];
      const channel = this.wall.channels[index];
      if (!channel || state === undefined || this.states[index] === state) continue;
      this.#count(channel.place, this.states[index], -1);
      this.#count(channel.place, state, 1);
      this.states[index] = state;
      changed.add(index);
    }
    if (changed.size) this.tell("states", changed);
  }

  /** @param {number} place @param {number} state @param {number} n */
  #count(place, state, n) {
    this.byTownship[place][state] += n;
    this.total[state] += n;
  }

  /** @param {Incident[]} rows */
  setIncidents(rows) {
    this.incidents = new Map(rows.map((row) => [row.id, row]));
    this.tell("incidents");
  }

  /** One incident opened, changed or closed. @param {Incident} row */
  setIncident(row) {
    if (row.ended_at || row.merged_into) this.incidents.delete(row.id);
    else this.incidents.set(row.id, { ...this.incidents.get(row.id), ...row });
    this.tell("incidents", row);
  }

  /** The stream fell silent, or speaks again. @param {boolean} stale */
  setStale(stale) {
    if (this.stale === stale && this.live === !stale) return;
    this.stale = stale;
    this.live = !stale;
    this.tell("freshness");
    this.tell("stream");
  }

  /** Channels to light up. @param {Iterable<string>} ids */
  mark(ids) {
    this.marked = new Set();
    for (const id of ids) {
      const index = this.indexOf.get(id);
      if (index !== undefined) this.marked.add(index);
    }
    this.tell("route");
  }

  /** State of a channel by its id. @param {string} id */
  stateOf(id) {
    const index = this.indexOf.get(id);
    return index === undefined ? undefined : STATES[this.states[index]];
  }
}
