// Who took an incident on, why, until when: how it is shown, and the form.
import { api } from "./api.js";
import { Dialog, useTopics } from "./bits.js";
import { html, useEffect, useRef, useState } from "./html.js";
import { expired } from "./shapes.js";
import { explain } from "./trouble.js";
import { channels, moment, t } from "./words.js";

/** @typedef {import("./store.js").Store} Store */
/** @typedef {import("./shapes.js").Incident} Incident */
/** @typedef {import("./shapes.js").Note} Note */

const HOUR_MS = 3_600_000;
const TEXT_MAX = 500;

/** @type {Record<string, (now_ms: number) => number>} */
const UNTIL = {
  until_1h: (now) => now + HOUR_MS,
  until_4h: (now) => now + 4 * HOUR_MS,
  until_morning: nextMorning,
  until_day: (now) => now + 24 * HOUR_MS,
};

/** The next 8:00 in Asia/Shanghai that lies on another day. @param {number} now_ms */
function nextMorning(now_ms) {
  const ahead_ms = 8 * HOUR_MS;
  const midnight = Math.floor((now_ms + ahead_ms) / (24 * HOUR_MS)) * 24 * HOUR_MS - ahead_ms;
  return midnight + 32 * HOUR_MS;
}

/** @param {{ store: Store, note: Note }} props */
export function Acknowledged({ store, note }) {
  useTopics(store, "tick");
  const now = store.now_ms();
  if (expired(note, now)) {
    const at = moment(note.until, now, { short: true });
    return html`<p class="note note-expired">${t("incidents.expired", { actor: note.actor, at })}</p>`;
  }
  return html`<p class="note"><b>${t("incidents.acknowledged", { actor: note.actor })}</b>
    ${note.until && html`<span class="number"> ${t("incidents.until", { at: moment(note.until, now, { short: true }) })}</span>`}
    <span class="note-text">${note.text}</span></p>`;
}

/** @param {{ store: Store, incident: Incident, onClose: () => void }} props */
export function AcknowledgeForm({ store, incident, onClose }) {
  const [text, setText] = useState("");
  const [until, setUntil] = useState("until_4h");
  const [failure, setFailure] = useState("");
  const [busy, setBusy] = useState(false);
  const field = useRef(/** @type {HTMLTextAreaElement | null} */ (null));
  useEffect(() => field.current?.focus(), []);

  /** @param {Event} event */
  const submit = async (event) => {
    event.preventDefault();
    if (!text.trim()) {
      setFailure(t("acknowledge.missing"));
      field.current?.focus();
      return;
    }
    setBusy(true);
    try {
      const ends = new Date(UNTIL[until](store.now_ms())).toISOString();
      await api.acknowledge(incident.id, { text: text.trim(), until: ends });
      const { outages: _outages, truncated: _truncated, as_of: _asOf, ...row } = await api.incident(incident.id);
      store.setIncident(row);
      onClose();
    } catch (error) {
      setFailure(explain(error));
      setBusy(false);
    }
  };
  /** @param {KeyboardEvent} event */
  const press = (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) submit(event);
  };
  return html`<${Dialog} title=${t("acknowledge.title")} name="acknowledge" onClose=${onClose}>
    <p class="dialog-subject"><b>${incident.root_name}</b> <span class="number">${channels(incident.open_children)}</span></p>
    ${store.me && html`<p class="dialog-who"><span class="faint">${t("acknowledge.who")}</span> ${store.me.name}</p>`}
    <form onSubmit=${submit} onKeyDown=${press}>
      <label class="form-label" for="acknowledge-text">${t("acknowledge.why")}</label>
      <textarea id="acknowledge-text" ref=${field} class="field" rows="3" maxlength=${TEXT_MAX} placeholder=${t("acknowledge.why_hint")}
        value=${text} onInput=${(/** @type {any} */ event) => { setText(event.target.value); setFailure(""); }} />
      <fieldset class="choices"><legend class="form-label">${t("acknowledge.until")}</legend>
        ${Object.entries(UNTIL).map(([name, at]) => html`<label key=${name} class="choice">
          <input type="radio" name="until" value=${name} checked=${until === name} onChange=${() => setUntil(name)} />
          <span>${t(`acknowledge.${name}`)}</span>
          <small class="number">${moment(new Date(at(store.now_ms())).toISOString(), store.now_ms(), { short: true })}</small></label>`)}
      </fieldset>
      <p class="faint">${t("acknowledge.expires")}</p>
      ${failure && html`<p class="failure" role="alert">${failure}</p>`}
      <div class="dialog-end">
        <button type="button" class="button" onClick=${onClose}>${t("acknowledge.cancel")}</button>
        <button type="submit" class="button primary" disabled=${busy}>${t("acknowledge.submit")}</button>
      </div>
    </form>
  <//>`;
}
