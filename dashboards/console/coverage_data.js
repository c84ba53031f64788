// What is known of coverage in this browser: read once, followed by the stream, read again every 10 s
// where the stream has nothing.
import { ApiError, api } from "./api.js";
import { useTopics } from "./bits.js";
import { useEffect, useRef, useState } from "./html.js";
import { collection, middle, namesOf, numbered } from "./map.js";
import { explain } from "./trouble.js";

/** @typedef {import("./store.js").Store} Store */
/** @typedef {import("./map.js").Features} Features */

const AGAIN_MS = 10_000;
/** Blind spots come in bursts: an uplink takes a hundred views. */
const PAUSE_MS = 700;
const NOT_FOUND = 404;

/**
 * @typedef {object} Ground the layers that stand still
 * @property {Features | null} grids
 * @property {Features | null} townships
 * @property {Features | null} names
 * @property {Features | null} cameras
 */

/** The ground of a map, read once a page. @param {Store} store @returns {Ground} */
export function useGround(store) {
  useTopics(store, "wall");
  const [ground, setGround] = useState(/** @type {Ground} */ ({ grids: null, townships: null, names: null, cameras: null }));
  useEffect(() => {
    const stop = new AbortController();
    /** @param {Partial<Ground>} more */
    const add = (more) => stop.signal.aborted || setGround((known) => ({ ...known, ...more }));
    const silent = () => {};
    api.layer("cameras", stop.signal).then((sent) => add({ cameras: numbered(store, sent) })).catch(silent);
    api.layer("townships", stop.signal).then((sent) => add({ townships: sent, names: namesOf(store, sent) })).catch(silent);
    api.layer("grids", stop.signal).then((sent) => add({ grids: sent })).catch(silent);
    return () => stop.abort();
  }, [store.wall]);
  return ground;
}

/**
 * @typedef {object} Check what the headline says of itself; the stream does not tell it
 * @property {{ at: string, equal: boolean } | null} recount
 * @property {{ at: string, reason: string } | null} failure
 * @property {{ lower_share: number, upper_share: number } | null} bounds
 */

/**
 * @typedef {object} Coverage
 * @property {any} told the headline; null = not read yet
 * @property {Check} check
 * @property {string} failure
 * @property {boolean} off the gateway computes no coverage
 * @property {any[]} spots open ones, heaviest first
 * @property {Features | null} shapes what is left of each
 * @property {Features | null} marks a point for each
 * @property {Features | null} places
 * @property {Features | null} views
 * @property {Map<string, any>} placeOf by id
 * @property {any} repair
 * @property {any} redundancy
 * @property {any} survey stands still between two imports
 * @property {any} intrusions likewise
 */

/** @type {Coverage} */
const NOTHING = {
  told: null, check: { recount: null, failure: null, bounds: null }, failure: "", off: false, spots: [], shapes: null, marks: null, places: null, views: null,
  placeOf: new Map(), repair: null, redundancy: null, survey: null, intrusions: null,
};

/** @param {Store} store @returns {Coverage} */
export function useCoverage(store) {
  const [known, setKnown] = useState(NOTHING);
  const spots = useRef(/** @type {Map<string, any>} */ (new Map()));
  useEffect(() => {
    const stop = new AbortController();
    const { signal } = stop;
    let timer = 0;
    /** @param {Partial<Coverage>} more */
    const add = (more) => signal.aborted || setKnown((before) => ({ ...before, ...more }));
    const listed = () => [...spots.current.values()].sort(heavier);

    async function readChanging() {
      try {
        const [told, page] = await Promise.all([api.coverage("", signal), api.coverage("blind-spots?open=true&limit=1000", signal)]);
        spots.current = new Map(page.items.map((/** @type {any} */ one) => [one.id, one]));
        const check = { recount: told.recount, failure: told.recount_failure, bounds: told.designed_bounds };
        add({ told, check, spots: listed(), failure: "", off: false });
        const [shapes, places, repair, redundancy] = await Promise.all([
          api.layer("blind-spots", signal), api.layer("places", signal),
          api.coverage("repair-order?limit=50", signal), api.coverage("redundancy?limit=50", signal)]);
        add({ shapes, marks: marksOf(shapes), places, placeOf: byId(places), repair, redundancy });
      } catch (error) {
        if (signal.aborted) return;
        add({ failure: explain(error), off: error instanceof ApiError && error.status === NOT_FOUND });
      }
    }
    const soon = () => { timer ||= window.setTimeout(() => { timer = 0; readChanging(); }, PAUSE_MS); };

    async function readStanding() {
      const [survey, intrusions] = await Promise.all([
        api.coverage("survey-order?limit=50", signal), api.coverage("intrusions?possible=true&limit=200", signal)]);
      add({ survey, intrusions });
    }

    const readAll = async () => {
      await readChanging();
      // A gateway that has just started still counts: asked again with a new wall.
      await readStanding().catch(() => {});
      await api.layer("views", signal).then((views) => add({ views })).catch(() => {});
    };
    readAll();
    const again = setInterval(() => document.hidden || readChanging(), AGAIN_MS);
    const stops = [
      store.on("blind_spot", (row) => {
        if (row.ended_at) spots.current.delete(row.id);
        else spots.current.set(row.id, row);
        add({ spots: listed() });
        soon();
      }),
      store.on("coverage", () => add({ told: store.coverage })),
      store.on("wall", () => readAll()),
    ];
    return () => {
      stop.abort();
      clearInterval(again);
      clearTimeout(timer);
      for (const one of stops) one();
    };
  }, []);
  return known;
}

/** @param {any} a @param {any} b */
function heavier(a, b) {
  return b.weight - a.weight || b.area_now_m2 - a.area_now_m2 || a.id.localeCompare(b.id);
}

/** @param {Features} shapes */
function marksOf(shapes) {
  return collection(shapes.features.map((one) => ({
    ...one, properties: { spot: one.id, weight: one.properties.weight }, geometry: { type: "Point", coordinates: middle(one.geometry) },
  })));
}

/** @param {Features} features */
function byId(features) {
  return new Map(features.features.map((one) => [one.id, one]));
}
