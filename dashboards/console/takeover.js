// A camera that was never seen good (存量故障) is accepted as work, with a reason; or all of its township are.
import { api } from "./api.js";
import { html, useState } from "./html.js";
import { explain } from "./trouble.js";
import { t } from "./words.js";

const REASON_MAX = 500;

/** @param {{ id: string, township: string, township_name: string, onDone: () => void }} props */
export function AcceptTakeover({ id, township, township_name, onDone }) {
  const [whole, setWhole] = useState(false);
  const [reason, setReason] = useState("");
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState("");
  const accept = async (/** @type {Event} */ event) => {
    event.preventDefault();
    if (!reason.trim()) {
      setFailure(t("takeover.missing"));
      return;
    }
    setBusy(true);
    setFailure("");
    try {
      const why = reason.trim();
      await (whole ? api.acceptTakeoverOf({ area: township, reason: why }) : api.acceptTakeover(id, { reason: why }));
      onDone();
    } catch (error) {
      setFailure(explain(error));
    }
    setBusy(false);
  };
  return html`<form class="takeover" id="takeover" onSubmit=${accept}>
    <p class="faint">${t("takeover.note")}</p>
    <div class="takeover-line">
      <input class="field" id="takeover-reason" aria-label=${t("takeover.why")} placeholder=${t("takeover.why_hint")} maxlength=${REASON_MAX} value=${reason}
        onInput=${(/** @type {any} */ event) => setReason(event.target.value)} />
      <button type="submit" class="button" id="takeover-accept" disabled=${busy}>${t("takeover.accept")}</button>
    </div>
    <label class="takeover-line"><input type="checkbox" id="takeover-whole" checked=${whole}
      onChange=${(/** @type {any} */ event) => setWhole(event.target.checked)} /> ${t("takeover.whole", { name: township_name })}</label>
    ${failure && html`<p class="failure" role="alert">${failure}</p>`}
  </form>`;
}
