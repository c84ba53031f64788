// What the API sends, and what the console keeps of it.
import { t } from "./words.js";

/**
 * @typedef {object} Channel one square
 * @property {string} id
 * @property {string} name
 * @property {number} place position of its township in `Wall.townships`
 * @property {string} village code
 * @property {string} villageName
 * @property {string} text what the search looks through, in lower case
 *
 * @typedef {object} Wall
 * @property {Channel[]} channels by index
 * @property {{ code: string, name: string, indices: number[], breaks: number[] }[]} townships
 *
 * @typedef {object} Gap the gateway does not watch
 * @property {"not_running" | "blind" | "stalled"} reason
 * @property {string} started_at
 * @property {string | null} ended_at
 *
 * @typedef {object} Note
 * @property {string} id
 * @property {string} at
 * @property {string} actor
 * @property {"acknowledge" | "note"} kind
 * @property {string} text
 * @property {string | null} until
 *
 * @typedef {object} Incident
 * @property {string} id
 * @property {string} root
 * @property {string} root_name
 * @property {string} root_kind
 * @property {string} cause
 * @property {string | null} began_after_at
 * @property {string} began_at
 * @property {string} confirmed_at
 * @property {string | null} ended_at
 * @property {number} children
 * @property {number} open_children
 * @property {boolean} planned
 * @property {string | null} merged_into
 * @property {string | null} split_from
 * @property {string} maintainer
 * @property {string} carrier
 * @property {string} township_name
 * @property {Note[]} [notes]
 *
 * @typedef {object} Outage
 * @property {string} id
 * @property {string} channel
 * @property {string} [camera_name]
 * @property {string} [village_name]
 * @property {string} cause
 * @property {string | null} last_seen_at
 * @property {string} failed_at
 * @property {string} confirmed_at
 * @property {string} last_failed_at
 * @property {string | null} ended_at
 * @property {number} bad_s
 * @property {string[]} reason
 * @property {string | null} incident
 * @property {boolean} flapping
 * @property {boolean} planned
 * @property {string | null} ending
 *
 * @typedef {object} Answer what one check found
 * @property {string} step
 * @property {string} started_at
 * @property {string} ended_at
 * @property {"answered" | "no_answer" | "could_not_tell"} verdict
 * @property {string | null} cause
 * @property {{ cause: string, detail: string }[]} found
 * @property {{ name: string, ok: boolean | null, detail: string, ms: number }[]} chain
 * @property {number | null} rtt_s
 * @property {number | null} clock_offset_s
 */

/**
 * The wall as the gateway sends it, put in the order of the screen: townships by code, inside by
 * village, then as in the archive. Channels keep the numbers that the stream uses.
 * @param {{ divisions: [string, string, string | null][], channels: [string, string, number, number][] }} sent
 * @returns {Wall}
 */
export function wallOf({ divisions, channels }) {
  const nowhere = /** @type {const} */ (["", t("wall.elsewhere"), null]);
  /** @type {Map<string, Wall["townships"][number]>} */
  const towns = new Map();
  const codes = channels.map(([, , town]) => (divisions[town] ?? nowhere)[0]);
  for (const code of [...new Set(codes)].sort(compareCodes)) {
    const name = divisions.find(([one]) => one === code)?.[1] ?? nowhere[1];
    towns.set(code, { code, name, indices: [], breaks: [] });
  }
  const places = new Map([...towns.keys()].map((code, place) => [code, place]));
  const rows = channels.map(([id, name, , at], index) => {
    const [village, villageName] = divisions[at] ?? nowhere;
    const town = /** @type {Wall["townships"][number]} */ (towns.get(codes[index]));
    town.indices.push(index);
    const text = `${name} ${id} ${town.name} ${villageName}`.toLowerCase();
    return { id, name, place: places.get(codes[index]) ?? 0, village, villageName, text };
  });
  for (const town of towns.values()) {
    town.indices.sort((a, b) => compareCodes(rows[a].village, rows[b].village) || a - b);
    town.breaks = town.indices.map((_, i) => i)
      .filter((i) => i > 0 && rows[town.indices[i]].village !== rows[town.indices[i - 1]].village);
  }
  return { channels: rows, townships: [...towns.values()] };
}

/** Codes in their order; those without one come last. @param {string} a @param {string} b */
function compareCodes(a, b) {
  if (!a || !b) return Number(!a) - Number(!b);
  return a < b ? -1 : Number(a > b);
}

/**
 * The latest acknowledgement of an incident, expired or not.
 * @param {Incident} incident @returns {Note | null}
 */
export function acknowledgement(incident) {
  const notes = (incident.notes ?? []).filter((note) => note.kind === "acknowledge");
  return notes.length ? notes[notes.length - 1] : null;
}

/** @param {Note} note @param {number} now_ms */
export function expired(note, now_ms) {
  return note.until !== null && new Date(note.until).getTime() <= now_ms;
}
