// The state wall: one square a channel, by township; one township alone is shown by village.
import { Mark, useTopics } from "./bits.js";
import { html, useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "./html.js";
import { arrange, channelAt, channelBeside } from "./layout.js";
import { STATES } from "./marks.js";
import { Painter } from "./painter.js";
import { themeOf } from "./route.js";
import { Search } from "./search.js";
import { channels, number, t, word } from "./words.js";

/** @typedef {import("./store.js").Store} Store */
/** @typedef {import("./layout.js").Layout} Layout */
/** @typedef {import("./layout.js").Group} Group */

/** Counts of a narrow heading, by what needs somebody; the last ones are cut off first. */
const URGENT = ["offline", "degraded", "unknown", "maintenance", "decommissioned"];

/** @param {{ store: Store }} props */
export function WallView({ store }) {
  useTopics(store, "wall", "route");
  const { route, wall } = store;
  const groups = useMemo(() => groupsOf(store), [wall, route.township, route.lang]);
  const lit = useCallback(litBy(store), [wall, route.q, route.states, store.marked]);
  const faint = Boolean(route.q || route.states.length || store.marked.size);
  const chosen = wall.townships.find((town) => town.code === route.township);
  return html`<section class="wall" aria-labelledby="wall-title">
    <div class="wall-bar">
      <h2 id="wall-title">${t("wall.title")}</h2>
      <select class="field" aria-label=${t("wall.township")} value=${chosen ? route.township : ""}
          onChange=${(/** @type {any} */ event) => store.go({ township: event.target.value })}>
        <option value="">${t("wall.township_all")}</option>
        ${wall.townships.map((town) => html`<option key=${town.code} value=${town.code}>${town.name}</option>`)}
      </select>
      <${Search} store=${store} />
      ${(faint || route.township) && html`<button class="button quiet" onClick=${() => clear(store)}>${t("wall.clear")}</button>`}
    </div>
    <${Squares} store=${store} groups=${groups} lit=${lit} faint=${faint} />
    <${Legend} store=${store} groups=${groups} lit=${lit} />
  </section>`;
}

/** @param {Store} store */
function clear(store) {
  store.go({ q: "", states: [], township: "", incident: "" });
  store.mark([]);
}

/**
 * Townships of the district, or the villages of the one township that is chosen.
 * @param {Store} store @returns {Group[]}
 */
export function groupsOf({ wall, route }) {
  const chosen = wall.townships.find((town) => town.code === route.township);
  if (!chosen) return wall.townships.map(({ code, ...town }) => ({ key: code, ...town }));
  /** @type {Map<string, Group>} */
  const villages = new Map();
  for (const index of chosen.indices) {
    const { village, villageName } = wall.channels[index];
    const group = villages.get(village)
      ?? { key: village, name: villageName || t("wall.elsewhere"), indices: [], breaks: [] };
    group.indices.push(index);
    villages.set(village, group);
  }
  return [...villages.values()];
}

/**
 * Whether a square is inside of the filters: search, expanded incident, states.
 * @param {Store} store @returns {(index: number, anyState?: boolean) => boolean}
 */
function litBy(store) {
  const words = store.route.q.trim().toLowerCase().split(/\s+/).filter(Boolean);
  const { marked, wall, route } = store;
  const wanted = STATES.map((state) => !route.states.length || route.states.includes(state));
  return (index, anyState = false) => (anyState || wanted[store.states[index]])
    && (!marked.size || marked.has(index))
    && words.every((part) => wall.channels[index].text.includes(part));
}

/** @param {{ store: Store, groups: Group[], lit: (index: number) => boolean, faint: boolean }} props */
export function Squares({ store, groups, lit, faint }) {
  const scroll = useRef(/** @type {HTMLDivElement | null} */ (null));
  const canvas = useRef(/** @type {HTMLCanvasElement | null} */ (null));
  const painter = useRef(/** @type {Painter | null} */ (null));
  const [space, setSpace] = useState({ width: 0, height: 0, scale: 1 });
  const [pointed, setPointed] = useState(-1);
  const theme = themeOf(store.route);

  useEffect(() => {
    const box = /** @type {HTMLDivElement} */ (scroll.current);
    const measure = () => {
      const scale = window.devicePixelRatio || 1;
      // The width of a scroll bar is always left free, or showing it would change the layout.
      setSpace({ width: Math.floor(box.clientWidth * scale), height: Math.floor(box.clientHeight * scale), scale });
    };
    const observer = new ResizeObserver(measure);
    observer.observe(box);
    measure();
    return () => observer.disconnect();
  }, []);

  const layout = useMemo(
    () => (space.width ? arrange(groups, store.wall.channels.length, space.width, space.height, space.scale) : null),
    [groups, space],
  );
  useLayoutEffect(() => {
    if (!layout || !canvas.current) return;
    painter.current ??= new Painter(canvas.current);
    painter.current.paintAll(layout, store.states, lit, faint);
    canvas.current.dataset.painted = "all";
  }, [layout, lit, theme]);
  useEffect(() => {
    const [first] = store.marked;
    if (layout && first !== undefined) reveal(scroll.current, layout, first, space.scale);
  }, [layout, store.marked]);
  useEffect(() => {
    let frame = 0;
    /** @type {Set<number>} */
    let waiting = new Set();
    const stop = store.on("states", (/** @type {Set<number>} */ changed) => {
      for (const index of changed) waiting.add(index);
      frame ||= requestAnimationFrame(() => {
        const painted = painter.current?.paint(waiting, store.states, lit) ?? 0;
        if (canvas.current) canvas.current.dataset.painted = String(painted);
        frame = 0;
        waiting = new Set();
      });
    });
    return () => {
      cancelAnimationFrame(frame);
      stop();
    };
  }, [lit]);

  /** @param {MouseEvent} event */
  const under = (event) => {
    if (!layout || !canvas.current) return -1;
    const box = canvas.current.getBoundingClientRect();
    return channelAt(layout, (event.clientX - box.left) * space.scale, (event.clientY - box.top) * space.scale);
  };
  /** @param {number} index */
  const open = (index) => index >= 0 && store.go({ camera: store.wall.channels[index].id }, { step: true });
  /** @param {KeyboardEvent} event */
  const press = (event) => {
    if (!layout) return;
    if (event.key.startsWith("Arrow")) {
      event.preventDefault();
      const next = channelBeside(layout, pointed, event.key);
      setPointed(next);
      reveal(scroll.current, layout, next, space.scale);
    } else if (event.key === "Enter") {
      event.preventDefault();
      open(pointed);
    }
  };
  const css = (/** @type {number} */ device) => `${device / space.scale}px`;
  const selected = store.indexOf.get(store.route.camera) ?? -1;
  return html`<div class="squares" ref=${scroll}>
    <div class="squares-inner" style=${layout ? { width: css(layout.width), height: css(layout.height) } : {}}>
      <canvas ref=${canvas} class="canvas" tabindex="0" role="application" aria-label=${t("wall.instructions")}
        aria-describedby="wall-pointed" style=${layout ? { width: css(layout.width), height: css(layout.height) } : {}}
        onMouseMove=${(/** @type {MouseEvent} */ event) => setPointed(under(event))}
        onMouseLeave=${() => setPointed(-1)} onBlur=${() => setPointed(-1)}
        onClick=${(/** @type {MouseEvent} */ event) => open(under(event))} onKeyDown=${press} />
      ${layout?.blocks.map((block) => html`<${Heading} key=${block.group.key} store=${store} block=${block} css=${css} />`)}
      ${layout && html`<${Ring} layout=${layout} index=${selected} css=${css} kind="selected" />`}
      ${layout && html`<${Ring} layout=${layout} index=${pointed} css=${css} kind="pointed" />`}
      ${layout && html`<${Tip} store=${store} layout=${layout} index=${pointed} scale=${space.scale} box=${scroll.current} />`}
    </div>
  </div>`;
}

/** Scrolls a square into sight. @param {HTMLElement | null} box @param {Layout} layout @param {number} index @param {number} scale */
function reveal(box, layout, index, scale) {
  if (!box || index < 0) return;
  const top = layout.y[index] / scale;
  if (top < box.scrollTop + 30) box.scrollTop = top - 60;
  else if (top > box.scrollTop + box.clientHeight - 40) box.scrollTop = top - box.clientHeight + 80;
}

/** Name and counts above the squares of a group. @param {{ store: Store, block: import("./layout.js").Block, css: (n: number) => string }} props */
function Heading({ store, block, css }) {
  useTopics(store, "states");
  const { group } = block;
  const counts = new Array(STATES.length).fill(0);
  for (const index of group.indices) counts[store.states[index]] += 1;
  const told = STATES.map((state, i) => ({ state, n: counts[i] })).filter(({ n }) => n > 0);
  const text = told.map(({ state, n }) => `${word("state", state)} ${number(n)}`).join(" · ");
  const trouble = told.filter(({ state }) => state !== "online").sort((a, b) => URGENT.indexOf(a.state) - URGENT.indexOf(b.state));
  const inner = html`<span class="heading-name">${group.name}</span>
    <span class="heading-total number">${number(group.indices.length)}</span>
    <span class="heading-counts">${trouble.map(({ state, n }) => html`
      <span key=${state} class=${`heading-count number state-${state}`}><${Mark} state=${state} />${number(n)}</span>`)}</span>`;
  const place = { left: css(block.x), top: css(block.y), width: css(block.width) };
  if (store.route.township) {
    return html`<div class="heading" style=${place} title=${text}>${inner}</div>`;
  }
  return html`<button class="heading" style=${place} title=${text} data-township=${group.key}
      aria-label=${t("wall.open_township", { name: group.name, counts: text })}
      onClick=${() => store.go({ township: group.key })}>${inner}</button>`;
}

/** @param {{ layout: Layout, index: number, css: (n: number) => string, kind: string }} props */
function Ring({ layout, index, css, kind }) {
  if (index < 0 || layout.x[index] < 0) return null;
  const edge = layout.pitch - layout.size + 1;
  const size = css(layout.size + 2 * edge);
  const place = { left: css(layout.x[index] - edge), top: css(layout.y[index] - edge), width: size, height: size };
  return html`<div class=${`ring ring-${kind}`} style=${place} />`;
}

/** What the pointed square is; also read aloud. @param {{ store: Store, layout: Layout, index: number, scale: number, box: HTMLElement | null }} props */
function Tip({ store, layout, index, scale, box }) {
  useTopics(store, "states");
  const channel = store.wall.channels[index];
  const shown = channel && layout.x[index] >= 0;
  const state = shown ? STATES[store.states[index]] : "online";
  const place = { left: "0px", top: "0px" };
  if (shown && box) {
    const left = Math.min(layout.x[index] / scale, box.clientWidth - 300);
    const below = layout.y[index] / scale + layout.pitch / scale + 8;
    const roomBelow = below - box.scrollTop + 84 < box.clientHeight;
    place.left = `${Math.max(0, left)}px`;
    place.top = `${roomBelow ? below : layout.y[index] / scale - 84}px`;
  }
  const town = shown ? store.wall.townships[channel.place].name : "";
  return html`<div id="wall-pointed" class=${`tip ${shown ? "" : "hidden"}`} style=${place} role="status">
    ${shown && html`<div class="tip-name">${channel.name}</div>
      <div class=${`tip-state state-${state}`}><${Mark} state=${state} />${word("state", state)}</div>
      <div class="tip-place">${town} · ${channel.villageName || t("wall.elsewhere")}</div>
      <div class="tip-id number">${channel.id}</div>`}
  </div>`;
}

/** Counts inside of the filters by state; they always add up. @param {{ store: Store, groups: Group[], lit: (index: number, anyState?: boolean) => boolean }} props */
function Legend({ store, groups, lit }) {
  useTopics(store, "states");
  const counts = new Array(STATES.length).fill(0);
  for (const group of groups) {
    for (const index of group.indices) if (lit(index, true)) counts[store.states[index]] += 1;
  }
  const sum = counts.reduce((a, b) => a + b, 0);
  const { states } = store.route;
  /** @param {string} state */
  const toggle = (state) => store.go({
    states: states.includes(state) ? states.filter((one) => one !== state) : [...states, state],
  });
  return html`<div class="legend" role="group" aria-label=${t("legend.title")}>
    ${STATES.map((state, i) => html`<button key=${state} class="legend-item" data-state=${state}
        aria-pressed=${states.includes(state) ? "true" : "false"} title=${word("meaning", state)} onClick=${() => toggle(state)}>
      <${Mark} state=${state} /><span>${word("state", state)}</span><b class="number">${number(counts[i])}</b></button>`)}
    <span class="legend-sum">${t("legend.sum")} <b class="number" data-sum=${sum}>${channels(sum)}</b></span>
  </div>`;
}
