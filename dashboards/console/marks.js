// The six states: order of display and the mark of each. Shape differs as well as colour, so the
// wall reads without colour. The same outlines serve the canvas (Path2D) and the legend (SVG).

/** @typedef {"online"|"degraded"|"offline"|"unknown"|"maintenance"|"decommissioned"} State */

/** In the order of the legend. @type {readonly State[]} */
export const STATES = [
  "online", "degraded", "offline", "unknown", "maintenance", "decommissioned",
];

/** @type {Record<string, number>} */
export const STATE_NUMBER = Object.fromEntries(STATES.map((name, i) => [name, i]));

/**
 * Shapes on a 12 x 12 field. `body` is filled with the colour of the state, `cut` is filled with
 * the ground on top of it.
 * @type {Record<State, { body: string, cut: string }>}
 */
export const MARKS = {
  online: { body: "M1 1H11V11H1Z", cut: "" },
  degraded: { body: "M0 0H12V12H0Z", cut: "M0 5H12V7.6H0Z" },
  offline: {
    body: "M0 0H12V12H0Z",
    cut: "M1.6 3.2L3.2 1.6L6 4.4L8.8 1.6L10.4 3.2L7.6 6L10.4 8.8L8.8 10.4L6 7.6L3.2 10.4L1.6 8.8L4.4 6Z",
  },
  unknown: { body: "M0 0H12V12H0Z", cut: "M2.2 2.2H9.8V9.8H2.2Z" },
  maintenance: { body: "M0 12V0H12Z", cut: "" },
  decommissioned: { body: "M4 4H8V8H4Z", cut: "" },
};

/** The custom property that holds the colour of a state. @param {State} state */
export function colourOf(state) {
  return `--state-${state}`;
}
