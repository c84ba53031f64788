// The search field: lights up what matches on the wall and lists the first few, troubled ones first.
import { Mark } from "./bits.js";
import { html, useEffect, useRef, useState } from "./html.js";
import { STATES } from "./marks.js";
import { number, t, word } from "./words.js";

/** @typedef {import("./store.js").Store} Store */

const LISTED = 8;
const PAUSE_MS = 120;
/** Who comes first in the list: what needs somebody. */
const RANK = { offline: 0, degraded: 1, unknown: 2, maintenance: 3, online: 4, decommissioned: 5 };

/** @param {Store} store @param {string} text */
function find(store, text) {
  const words = text.trim().toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return { total: 0, first: [] };
  /** @type {number[]} */
  const found = [];
  store.wall.channels.forEach((channel, index) => {
    if (words.every((part) => channel.text.includes(part))) found.push(index);
  });
  const rank = (/** @type {number} */ index) => RANK[STATES[store.states[index]]];
  return { total: found.length, first: found.sort((a, b) => rank(a) - rank(b)).slice(0, LISTED) };
}

/** @param {{ store: Store }} props */
export function Search({ store }) {
  const [text, setText] = useState(store.route.q);
  const [open, setOpen] = useState(false);
  const [at, setAt] = useState(0);
  const input = useRef(/** @type {HTMLInputElement | null} */ (null));
  useEffect(() => setText(store.route.q), [store.route.q]);
  useEffect(() => {
    if (text === store.route.q) return undefined;
    const timer = setTimeout(() => store.go({ q: text }), PAUSE_MS);
    return () => clearTimeout(timer);
  }, [text]);
  const { total, first } = open ? find(store, text) : { total: 0, first: [] };

  /** @param {number} index */
  const choose = (index) => {
    setOpen(false);
    store.go({ q: text, camera: store.wall.channels[index].id }, { step: true });
  };
  /** @param {KeyboardEvent} event */
  const press = (event) => {
    if (event.key === "Escape") {
      event.stopPropagation();
      if (text) setText("");
      else input.current?.blur();
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      const step = event.key === "ArrowDown" ? 1 : -1;
      setAt((at + step + first.length) % Math.max(1, first.length));
    } else if (event.key === "Enter" && first[at] !== undefined) {
      event.preventDefault();
      choose(first[at]);
    }
  };
  return html`<div class="search">
    <svg class="icon search-icon" viewBox="0 0 16 16" aria-hidden="true"><path d="M11 11l3 3M12 7.2a4.8 4.8 0 1 1-9.6 0a4.8 4.8 0 0 1 9.6 0z" /></svg>
    <input ref=${input} id="search" class="field" type="search" placeholder=${t("wall.search")} aria-label=${t("wall.search")}
      value=${text} autocomplete="off" spellcheck=${false} role="combobox" aria-expanded=${open && text ? "true" : "false"}
      aria-controls="search-list" aria-activedescendant=${first[at] === undefined ? undefined : `found-${at}`}
      onInput=${(/** @type {any} */ event) => { setText(event.target.value); setOpen(true); setAt(0); }}
      onFocus=${() => setOpen(true)} onBlur=${() => setOpen(false)} onKeyDown=${press} />
    <kbd class="search-key" aria-hidden="true">/</kbd>
    ${open && text.trim() && html`<div class="found" id="search-list" role="listbox" onMouseDown=${(/** @type {Event} */ event) => event.preventDefault()}>
      <div class="found-count">${total ? t("wall.matches", { n: number(total) }) : t("wall.nothing")}</div>
      ${first.map((index, i) => html`<${Found} key=${index} store=${store} index=${index} place=${i} on=${i === at} choose=${choose} />`)}
    </div>`}
  </div>`;
}

/** @param {{ store: Store, index: number, place: number, on: boolean, choose: (index: number) => void }} props */
function Found({ store, index, place, on, choose }) {
  const channel = store.wall.channels[index];
  const state = STATES[store.states[index]];
  return html`<div id=${`found-${place}`} class="found-row" role="option" aria-selected=${on ? "true" : "false"} onClick=${() => choose(index)}>
    <${Mark} state=${state} /><span class="found-name">${channel.name}</span>
    <span class="found-place">${store.wall.townships[channel.place].name} · ${channel.villageName}</span>
    <span class=${`found-state state-${state}`}>${word("state", state)}</span>
  </div>`;
}
