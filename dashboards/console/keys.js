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
