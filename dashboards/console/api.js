// Talks to the gateway. Errors are `ApiError` with the status and the problem's own words.

const BASE = "api/v1/";
const TIMEOUT_MS = 30_000;
const CLOCK_GRAIN_MS = 2000;
const INCIDENT_PAGES = 5;
export const LISTED = 500;

/** What the gateway refused, or that it could not be reached (`status` 0). */
export class ApiError extends Error {
  /** @param {number} status @param {string} detail @param {number} retryAfter_s */
  constructor(status, detail, retryAfter_s = 0) {
    super(detail);
    this.status = status;
    this.retryAfter_s = retryAfter_s;
  }
}

/** Called on every 401: the session is gone. @type {() => void} */
let onLocked = () => {};

/** @param {() => void} handler */
export function whenLocked(handler) {
  onLocked = handler;
}

/** The gateway's clock minus ours; differences that its whole seconds explain do not count. */
let ahead_ms = 0;

/** @param {string | null} date header of a response */
function noteClock(date) {
  const difference = date ? new Date(date).getTime() + 500 - Date.now() : 0;
  ahead_ms = Math.abs(difference) > CLOCK_GRAIN_MS ? difference : 0;
}

export function clockAhead_ms() {
  return ahead_ms;
}

/**
 * @param {string} path below /api/v1/
 * @param {{ method?: string, body?: unknown, signal?: AbortSignal }} [options]
 */
export async function call(path, { method = "GET", body, signal } = {}) {
  /** @type {Record<string, string>} */
  const headers = { Accept: "application/json" };
  if (method !== "GET") headers["X-Sightline"] = "1";
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  let response;
  try {
    response = await fetch(BASE + path, {
      method, headers, credentials: "same-origin", cache: "no-cache",
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, String(error));
  }
  noteClock(response.headers.get("Date"));
  if (response.ok) return response.status === 204 ? null : response.json();
  if (response.status === 401 && path !== "session") onLocked();
  const problem = await response.json().catch(() => ({}));
  throw new ApiError(
    response.status,
    problem.detail || problem.title || response.statusText,
    Number(response.headers.get("Retry-After")) || 0,
  );
}

/** @param {string} id */
const part = (id) => encodeURIComponent(id);

/**
 * All open incidents; a district in ruins has more than the pages read here, and the biggest are
 * then still on the wall.
 * @param {AbortSignal} [signal]
 * @returns {Promise<import("./shapes.js").Incident[]>}
 */
async function incidents(signal) {
  const rows = [];
  let path = "incidents?open=true&limit=1000";
  for (let page = 0; path && page < INCIDENT_PAGES; page++) {
    const { items, next } = await call(path, { signal });
    rows.push(...items);
    path = next ? next.slice(next.indexOf(BASE) + BASE.length) : "";
  }
  return rows;
}

export const api = {
  /** @param {AbortSignal} [signal] */
  wall: (signal) => call("wall", { signal }),
  /** @param {AbortSignal} [signal] */
  summary: (signal) => call("summary?by=township", { signal }),
  /** @param {AbortSignal} [signal] */
  me: (signal) => call("me", { signal }),
  incidents,
  /** @param {string} id @param {AbortSignal} [signal] */
  incident: (id, signal) => call(`incidents/${part(id)}`, { signal }),
  /** @param {string} id @param {AbortSignal} [signal] */
  camera: (id, signal) => call(`cameras/${part(id)}`, { signal }),
  /** @param {string} id @param {AbortSignal} [signal] */
  history: (id, signal) => call(`cameras/${part(id)}/history`, { signal }),
  /** @param {string} id @param {AbortSignal} [signal] */
  trace: (id, signal) => call(`cameras/${part(id)}/trace`, { signal }),
  /** @param {string} state @param {AbortSignal} [signal] */
  cameras: (state, signal) => call(`cameras?state=${part(state)}&limit=${LISTED}`, { signal }),
  /** Any part of coverage: "" is the headline. @param {string} [name] @param {AbortSignal} [signal] */
  coverage: (name = "", signal = undefined) => call(`coverage${name && `/${name}`}`, { signal }),
  /** @param {string} kind "" = all @param {boolean} open @param {AbortSignal} [signal] */
  events: (kind, open, signal) => call(`event-incidents?limit=200${kind && `&kind=${part(kind)}`}${open ? "&open=true" : ""}`, { signal }),
  /** @param {string} id @param {AbortSignal} [signal] */
  event: (id, signal) => call(`event-incidents/${part(id)}`, { signal }),
  /** Those that hold or will. @param {AbortSignal} [signal] */
  postures: (signal) => call("postures", { signal }),
  /** @param {AbortSignal} [signal] */
  plans: (signal) => call("plans", { signal }),
  /** @param {string} id @param {AbortSignal} [signal] */
  plan: (id, signal) => call(`plans/${part(id)}`, { signal }),
  /** @param {{ name: string, sites: number, candidates?: string }} body */
  startPlan: (body) => call("plans", { method: "POST", body }),
  /** @param {string} id */
  cancelPlan: (id) => call(`plans/${part(id)}/cancel`, { method: "POST" }),
  /** A map layer. @param {string} name @param {AbortSignal} [signal] */
  layer: (name, signal) => call(`coverage/layers/${name}.geojson`, { signal }),
  /** @param {string} id */
  check: (id) => call(`cameras/${part(id)}/check`, { method: "POST" }),
  /** @param {string} id @param {{ reason: string }} body */
  acceptTakeover: (id, body) => call(`cameras/${part(id)}/accept`, { method: "POST", body }),
  /** All of a division. @param {{ area: string, reason: string }} body */
  acceptTakeoverOf: (body) => call("takeover/accept", { method: "POST", body }),
  /** @param {string} id @param {{ text: string, until: string | null }} body */
  acknowledge: (id, body) => call(`incidents/${part(id)}/acknowledge`, { method: "POST", body }),
  /** @param {string} token */
  session: (token) => call("session", { method: "POST", body: { token } }),
  leave: () => call("session", { method: "DELETE" }),
};
