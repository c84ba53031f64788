// A map without tiles: its ground are the grid cells and townships of the gateway itself. Nothing is
// fetched from elsewhere, and the library is loaded by the first page that shows a map.
import { html, useEffect, useRef, useState } from "./html.js";
import { STATES, colourOf } from "./marks.js";
import { themeOf } from "./route.js";
import { t } from "./words.js";

/** @typedef {import("./store.js").Store} Store */
/** @typedef {{ type: "FeatureCollection", features: any[] }} Features */
/** @typedef {[number, number, number, number]} Bounds west, south, east, north */

const FONTS = "'Microsoft YaHei','PingFang SC','Noto Sans CJK SC',sans-serif";
const EMPTY = /** @type {Features} */ ({ type: "FeatureCollection", features: [] });
/** Where nothing is known yet: Yuyang District. */
const DISTRICT = /** @type {Bounds} */ ([108.95, 37.8, 110.4, 38.98]);
const NEAR = 16.5;

/** The library, loaded once. @type {Promise<any> | null} */
let loading = null;

function library() {
  loading ??= (async () => {
    const sheet = document.createElement("link");
    sheet.rel = "stylesheet";
    sheet.href = "lib/maplibre-gl.css";
    document.head.append(sheet);
    // Its worker is the file beside it: allowed by the page's policy, nothing is made from a blob.
    return import("./lib/maplibre-gl.mjs");
  })();
  return loading;
}

/** Colours of the theme, by name of the custom property. */
function palette() {
  const style = getComputedStyle(document.documentElement);
  return (/** @type {string} */ name) => style.getPropertyValue(`--${name}`).trim();
}

/** By zoom, in pixels. @param {...[number, number]} steps */
const zoomed = (...steps) => ["interpolate", ["exponential", 1.4], ["zoom"], ...steps.flat()];

/** @param {string} property @param {Record<string, string>} colours @param {string} other */
const matched = (property, colours, other) => ["match", ["get", property], ...Object.entries(colours).flat(), other];

const number = ["coalesce", ["feature-state", "state"], 0];

/** Layers that lie over the cameras. */
const ABOVE = ["events", "sites", "site-ranks"];

/** Layers that every map has, from the ground up; `more` lie between the ground and the cameras, or above. @param {any[]} more */
function layers(more) {
  const colour = palette();
  const byState = ["match", number, ...STATES.flatMap((state, i) => [i, colour(colourOf(state).slice(2))]), colour("soft")];
  const hollow = ["case", ["==", number, 3], 0, 1];
  const trouble = ["case", ["any", ["==", number, 1], ["==", number, 2], ["==", number, 3]], 1, 0];
  return [
    { id: "ground", type: "background", paint: { "background-color": colour("ground") } },
    { id: "grids-fill", type: "fill", source: "grids", paint: { "fill-color": colour("pane") } },
    { id: "grids", type: "line", source: "grids", minzoom: 9, paint: { "line-color": colour("line"), "line-width": zoomed([9, 0.4], [15, 1.2]) } },
    { id: "townships", type: "line", source: "townships", paint: { "line-color": colour("village"), "line-width": zoomed([8, 1], [14, 2.5]) } },
    ...more.filter(({ id }) => !ABOVE.includes(id)),
    { id: "cameras", type: "circle", source: "cameras", paint: {
      "circle-radius": zoomed([8, 1.3], [12, 2.4], [16, 5]), "circle-color": byState, "circle-opacity": zoomed([8, 0.55], [13, 0.9]),
    } },
    // Whoever needs somebody lies on top, larger; unknown is hollow.
    { id: "cameras-trouble", type: "circle", source: "cameras", paint: {
      "circle-radius": zoomed([8, 2], [12, 3.6], [16, 7]), "circle-color": byState, "circle-opacity": ["*", trouble, hollow],
      "circle-stroke-color": byState, "circle-stroke-width": 1.4, "circle-stroke-opacity": trouble,
    } },
    { id: "names", type: "symbol", source: "names", minzoom: 8.5,
      layout: { "text-field": ["get", "name"], "text-size": zoomed([8.5, 11], [13, 15]), "text-padding": 6 },
      paint: { "text-color": colour("text"), "text-halo-color": colour("ground"), "text-halo-width": 1.6, "text-opacity": 0.85 } },
    ...more.filter(({ id }) => ABOVE.includes(id)),
  ];
}

/** Layers of places and blind spots. */
export function coverageLayers() {
  const colour = palette();
  const place = matched("state", Object.fromEntries(["seen", "partly", "unverified", "unknown", "blind", "never"].map((s) => [s, colour(`place-${s}`)])), colour("soft"));
  const bad = colour("state-offline");
  return [
    { id: "views", type: "fill", source: "views", minzoom: 11, paint: { "fill-color": colour("place-seen"), "fill-opacity": zoomed([11, 0.1], [15, 0.22]) } },
    { id: "places-fill", type: "fill", source: "places", filter: ["==", ["geometry-type"], "Polygon"], paint: { "fill-color": place, "fill-opacity": 0.18 } },
    { id: "places-line", type: "line", source: "places", filter: ["!=", ["geometry-type"], "Point"], paint: { "line-color": place, "line-width": zoomed([9, 1.2], [15, 3]) } },
    { id: "spots-fill", type: "fill", source: "spots", paint: { "fill-color": bad, "fill-opacity": 0.5 } },
    { id: "spots-line", type: "line", source: "spots", paint: { "line-color": bad, "line-width": 1.6 } },
    { id: "places", type: "circle", source: "places", filter: ["==", ["geometry-type"], "Point"], paint: {
      "circle-radius": zoomed([8, 3], [12, 5], [16, 9]), "circle-color": colour("pane"), "circle-opacity": 0.7,
      "circle-stroke-color": place, "circle-stroke-width": zoomed([8, 1.2], [14, 2.6]) } },
    { id: "spot-marks", type: "circle", source: "spotMarks", maxzoom: 15, paint: {
      "circle-radius": ["interpolate", ["linear"], ["get", "weight"], 0, 5, 10, 11], "circle-color": bad, "circle-opacity": 0.35,
      "circle-stroke-color": bad, "circle-stroke-width": 1.6 } },
  ];
}

/** Incidents by severity; those that are over are faint. */
export function eventLayers() {
  const colour = palette();
  const fill = matched("severity", { critical: colour("state-offline"), major: colour("state-degraded"), minor: colour("state-maintenance") }, colour("soft"));
  const open = ["case", ["get", "open"], 0.9, 0.25];
  return [{ id: "events", type: "circle", source: "events", paint: {
    "circle-radius": zoomed([8, 6], [16, 12]), "circle-color": fill, "circle-opacity": open, "circle-stroke-color": colour("text"), "circle-stroke-width": 1, "circle-stroke-opacity": open } }];
}

/** Sites of a plan with their order, and what would be seen from them. */
export function planLayers() {
  const colour = palette();
  return [
    { id: "site-views", type: "fill", source: "siteViews", paint: { "fill-color": colour("accent"), "fill-opacity": 0.35 } },
    { id: "sites", type: "circle", source: "sites", paint: { "circle-radius": 10, "circle-color": colour("accent-ground"), "circle-stroke-color": colour("accent"), "circle-stroke-width": 1.5 } },
    { id: "site-ranks", type: "symbol", source: "sites", layout: { "text-field": ["get", "rank"], "text-size": 12, "text-allow-overlap": true }, paint: { "text-color": "#ffffff" } },
  ];
}

/** What is chosen, over everything. */
function chosenLayers() {
  const colour = palette();
  return [
    { id: "chosen-line", type: "line", source: "chosen", filter: ["!=", ["geometry-type"], "Point"], paint: { "line-color": colour("text"), "line-width": 2.5 } },
    { id: "chosen", type: "circle", source: "chosen", filter: ["==", ["geometry-type"], "Point"], paint: {
      "circle-radius": zoomed([8, 9], [16, 15]), "circle-color": "rgba(0,0,0,0)", "circle-stroke-color": colour("text"), "circle-stroke-width": 2.5 } },
  ];
}

/** Middle of a geometry's corners. @param {any} geometry @returns {[number, number]} */
export function middle(geometry) {
  const [west, south, east, north] = boundsOf([geometry]) ?? DISTRICT;
  return [(west + east) / 2, (south + north) / 2];
}

/** @param {any[]} geometries @returns {Bounds | null} */
export function boundsOf(geometries) {
  const found = [Infinity, Infinity, -Infinity, -Infinity];
  /** @param {any} part */
  const walk = (part) => {
    if (typeof part?.[0] === "number") {
      found[0] = Math.min(found[0], part[0]); found[1] = Math.min(found[1], part[1]);
      found[2] = Math.max(found[2], part[0]); found[3] = Math.max(found[3], part[1]);
    } else for (const one of part ?? []) walk(one);
  };
  for (const geometry of geometries) walk(geometry?.geometries?.map((/** @type {any} */ one) => one.coordinates) ?? geometry?.coordinates);
  return found[0] <= found[2] ? /** @type {Bounds} */ (found) : null;
}

/** @param {any[]} features @returns {Features} */
export function collection(features) {
  return { type: "FeatureCollection", features };
}

/**
 * @typedef {object} MapProps
 * @property {Store} store
 * @property {Record<string, Features | null>} sources by name; null = not read yet
 * @property {() => any[]} [more] layers over the ground
 * @property {any[]} chosen features to stand out; the map goes there when they change
 * @property {Record<string, (id: any, properties: any) => void>} [onPick] by layer
 * @property {any} [children] legend
 */

/** @param {MapProps} props */
export function MapView({ store, sources, more = () => [], chosen, onPick = {}, children }) {
  const box = useRef(/** @type {HTMLDivElement | null} */ (null));
  const map = useRef(/** @type {any} */ (null));
  const sent = useRef(/** @type {Record<string, Features | null>} */ ({}));
  const [ready, setReady] = useState(0);
  const [failure, setFailure] = useState("");
  const picks = useRef(onPick);
  picks.current = onPick;
  const { route } = store;
  const theme = themeOf(route);

  useEffect(() => {
    let gone = false;
    /** @type {any} */
    let made = null;
    library().then((maplibre) => {
      if (gone || !box.current) return;
      made = new maplibre.Map({
        container: box.current,
        style: { version: 8, sources: {}, layers: [] },
        bounds: fit(sources), fitBoundsOptions: { padding: 24 },
        attributionControl: false, dragRotate: false, pitchWithRotate: false, touchPitch: false, fadeDuration: 0,
        localIdeographFontFamily: FONTS, maxZoom: 19, minZoom: 6,
        locale: { "NavigationControl.ZoomIn": t("map.in"), "NavigationControl.ZoomOut": t("map.out"), "Map.Title": t("map.title") },
      });
      made.keyboard.disableRotation();
      made.touchZoomRotate.disableRotation();
      made.addControl(new maplibre.NavigationControl({ showCompass: false }), "top-right");
      made.on("load", () => {
        if (gone) return;
        for (const name of [...Object.keys(sources), "chosen"]) made.addSource(name, { type: "geojson", data: EMPTY, tolerance: 0.2 });
        for (const name of ["cameras", "grids", "townships", "names"]) if (!made.getSource(name)) made.addSource(name, { type: "geojson", data: EMPTY });
        for (const layer of [...layers(more()), ...chosenLayers()]) made.addLayer(layer);
        sent.current = {};
        map.current = made;
        setReady((n) => n + 1);
      });
      made.on("error", (/** @type {any} */ event) => console.error(`map: ${event.error?.message ?? event.error} ${event.sourceId ?? ""}`));
      made.on("click", (/** @type {any} */ event) => pick(made, event, picks.current));
      made.on("idle", () => { if (box.current) box.current.dataset.idle = "true"; });
    }).catch((error) => gone || setFailure(/webgl/i.test(String(error?.message ?? error)) ? t("map.no_webgl") : String(error)));
    return () => {
      gone = true;
      map.current = null;
      made?.remove();
    };
  }, [theme, route.lang]);

  useEffect(() => {
    for (const [name, data] of Object.entries(sources)) {
      if (!map.current || !data || sent.current[name] === data) continue;
      const first = !sent.current[name];
      sent.current[name] = data;
      map.current.getSource(name).setData(plain(data));
      if (box.current) box.current.dataset[name.toLowerCase()] = String(data.features.length);
      if (first && name === "townships" && !chosen.length) map.current.fitBounds(fit(sources), { padding: 24, animate: false });
      if (name === "cameras") paintStates(map.current, store, data.features.map((one) => one.id));
    }
  }, [ready, ...Object.values(sources)]);

  useEffect(() => store.on("states", (/** @type {Set<number>} */ changed) => {
    if (map.current && sent.current.cameras) paintStates(map.current, store, changed);
  }), []);

  const key = chosen.map((one) => one.id).join();
  useEffect(() => {
    if (!map.current) return;
    map.current.getSource("chosen").setData(plain(collection(chosen)));
    const bounds = boundsOf(chosen.map((one) => one.geometry));
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (bounds) map.current.fitBounds(bounds, { padding: 90, maxZoom: NEAR, animate: !calm, duration: 500 });
  }, [ready, key]);

  return html`<div class="map">
    <div class="map-box" ref=${box} id="map" />
    ${failure && html`<p class="map-failure notice" role="alert">${failure}</p>`}
    ${children}
  </div>`;
}

/**
 * Without ids that are codes: the map takes a code of twenty digits for a number, and cannot hold it.
 * @param {Features} features @returns {Features}
 */
function plain({ features }) {
  return collection(features.map(({ id, ...one }) => (typeof id === "number" ? { id, ...one } : one)));
}

/** @param {Record<string, Features | null>} sources */
function fit(sources) {
  const ground = [...(sources.townships?.features ?? []), ...(sources.cameras?.features ?? [])];
  return boundsOf(ground.map((one) => one.geometry)) ?? DISTRICT;
}

/** The colour of cameras is state of the map, not data: a change costs next to nothing. @param {any} map @param {Store} store @param {Iterable<number>} indices */
function paintStates(map, store, indices) {
  for (const id of indices) map.setFeatureState({ source: "cameras", id }, { state: store.states[id] ?? 0 });
}

/** Whoever lies on top below the pointer. @param {any} map @param {any} event @param {Record<string, (id: any, properties: any) => void>} onPick */
function pick(map, event, onPick) {
  const { x, y } = event.point;
  const names = Object.keys(onPick).filter((name) => map.getLayer(name));
  const found = map.queryRenderedFeatures([[x - 4, y - 4], [x + 4, y + 4]], { layers: names });
  // In the order of `onPick`, not of the drawing: a camera before the area behind it.
  const best = names.map((name) => found.find((/** @type {any} */ one) => one.layer.id === name)).find(Boolean);
  if (best) onPick[best.layer.id](best.id, best.properties);
}

/** Cameras with the numbers of the wall, so that a state finds its point. @param {Store} store @param {Features} sent @returns {Features} */
export function numbered(store, sent) {
  return collection(sent.features.flatMap((one) => {
    const index = store.indexOf.get(one.id);
    return index === undefined ? [] : [{ ...one, id: index, properties: { channel: one.id } }];
  }));
}

/** Names of townships, each in the middle of its outline. @param {Store} store @param {Features} townships @returns {Features} */
export function namesOf(store, townships) {
  return collection(townships.features.flatMap((one) => {
    const name = store.wall.townships.find((town) => town.code === one.id)?.name;
    return name ? [{ type: "Feature", properties: { name }, geometry: { type: "Point", coordinates: middle(one.geometry) } }] : [];
  }));
}
