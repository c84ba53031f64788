// Keys and the meaning of the states.
import { Dialog, Mark } from "./bits.js";
import { html } from "./html.js";
import { STATES } from "./marks.js";
import { t, word } from "./words.js";

/** Keys and what they do, in the order of the help page. @type {readonly [string[], string][]} */
const KEYS = [
  [["/"], "help.search"],
  [["J", "K"], "help.next"],
  [["Enter"], "help.open"],
  [["A"], "help.acknowledge"],
  [["←", "→", "↑", "↓"], "help.arrows"],
  [["?"], "help.help"],
  [["Esc"], "help.close"],
];

/** @param {{ onClose: () => void }} props */
export function Help({ onClose }) {
  return html`<${Dialog} title=${t("help.title")} name="help" onClose=${onClose}>
    <h3>${t("help.legend")}</h3>
    <dl class="help-list">${STATES.map((state) => html`<div key=${state}>
      <dt class=${`state-${state}`}><${Mark} state=${state} />${word("state", state)}</dt><dd>${word("meaning", state)}</dd></div>`)}</dl>
    <h3>${t("help.keys")}</h3>
    <dl class="help-list">${KEYS.map(([keys, what]) => html`<div key=${what}>
      <dt>${keys.map((key) => html`<kbd key=${key}>${key}</kbd>`)}</dt><dd>${t(what)}</dd></div>`)}</dl>
    <p class="faint">${t("help.address")}</p>
    <div class="dialog-end"><button class="button" onClick=${onClose}>${t("camera.close")} <kbd>Esc</kbd></button></div>
  <//>`;
}
