// Small pieces that several views use.
import { html, useEffect, useLayoutEffect, useRef, useState } from "./html.js";
import { MARKS, colourOf } from "./marks.js";
import { duration, word } from "./words.js";

/** @typedef {import("./store.js").Store} Store */
/** @typedef {import("./store.js").Topic} Topic */
/** @typedef {import("./marks.js").State} State */

/** Draws the component again whenever one of the topics changes. @param {Store} store @param {Topic[]} topics */
export function useTopics(store, ...topics) {
  const [, again] = useState(0);
  useEffect(() => {
    let frame = 0;
    // Many changes in one frame cost one drawing.
    const later = () => {
      frame ||= requestAnimationFrame(() => {
        frame = 0;
        again((n) => n + 1);
      });
    };
    const stops = topics.map((topic) => store.on(topic, later));
    return () => {
      cancelAnimationFrame(frame);
      for (const stop of stops) stop();
    };
  }, [store, topics.join()]);
}

/** The mark of a state, as on the wall. @param {{ state: State, title?: boolean }} props */
export function Mark({ state, title = false }) {
  const { body, cut } = MARKS[state];
  return html`<svg class="mark" viewBox="0 0 12 12" role=${title ? "img" : "presentation"}
      aria-label=${title ? word("state", state) : undefined} aria-hidden=${title ? undefined : "true"}>
    <path d=${body + cut} fill-rule="evenodd" style=${{ fill: `var(${colourOf(state)})` }} />
  </svg>`;
}

/** How long something has lasted, counting. @param {{ store: Store, from: string, to?: string | null }} props */
export function Elapsed({ store, from, to = null }) {
  const text = () => duration(((to ? new Date(to).getTime() : store.now_ms()) - new Date(from).getTime()) / 1000);
  const [, shown] = useState("");
  useEffect(() => (to ? undefined : store.on("tick", () => shown(text()))), [from, to]);
  return html`<span class="number">${text()}</span>`;
}

/**
 * A dialog over everything; Esc and the backdrop close it, focus returns to where it was.
 * @param {{ title: string, onClose: () => void, children?: any, name: string }} props
 */
export function Dialog({ title, onClose, children, name }) {
  const element = useRef(/** @type {HTMLDialogElement | null} */ (null));
  // At once, not after the next paint: an Escape in between would go to the page, and leave it open.
  useLayoutEffect(() => {
    const before = document.activeElement;
    element.current?.showModal();
    return () => {
      if (before instanceof HTMLElement && before.isConnected) before.focus();
    };
  }, []);
  return html`<dialog ref=${element} class=${`dialog dialog-${name}`} aria-labelledby=${`${name}-title`}
      onCancel=${(/** @type {Event} */ event) => { event.preventDefault(); onClose(); }}
      onClose=${onClose /* Chromium may close it without asking first */}
      onClick=${(/** @type {Event} */ event) => { if (event.target === element.current) onClose(); }}>
    <div class="dialog-body">
      <h2 id=${`${name}-title`}>${title}</h2>
      ${children}
    </div>
  </dialog>`;
}
