// Keys that work everywhere on the page. Fields and open dialogs keep theirs.

/**
 * @typedef {object} Actions
 * @property {() => void} search
 * @property {() => void} help
 * @property {(step: number) => void} move
 * @property {() => void} open
 * @property {() => void} acknowledge
 * @property {() => void} close
 */

/**
 * Moves the focus along the list on the page: the elements with `data-row`.
 * @param {number} step
 */
export function moveFocus(step) {
  const rows = /** @type {HTMLElement[]} */ ([...document.querySelectorAll("[data-row]")]);
  const focused = rows.findIndex((row) => row === document.activeElement);
  const at = focused >= 0 ? focused : rows.findIndex((row) => row.getAttribute("aria-current") === "true");
  const next = rows[at < 0 ? 0 : Math.min(rows.length - 1, Math.max(0, at + step))];
  next?.focus({ preventScroll: true });
  next?.scrollIntoView({ block: "nearest" });
}

/**
 * @param {Actions} actions
 * @returns {() => void} stops listening
 */
export function onKeys(actions) {
  /** @type {Record<string, () => void>} */
  const table = {
    "/": actions.search,
    "?": actions.help,
    j: () => actions.move(1),
    k: () => actions.move(-1),
    a: actions.acknowledge,
    Enter: actions.open,
    Escape: actions.close,
  };
  /** @param {KeyboardEvent} event */
  const press = (event) => {
    const target = /** @type {HTMLElement} */ (event.target);
    if (event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
    if (target.closest("dialog") || target.matches("input, textarea, select")) return;
    // A focused button or square answers Enter by itself.
    if (event.key === "Enter" && target !== document.body) return;
    const action = table[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!action) return;
    event.preventDefault();
    action();
  };
  document.addEventListener("keydown", press);
  return () => document.removeEventListener("keydown", press);
}
