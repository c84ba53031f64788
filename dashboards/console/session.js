// The token entry page, shown whenever the gateway answers 401.
import { ApiError, api } from "./api.js";
import { html, useEffect, useRef, useState } from "./html.js";
import { explain } from "./trouble.js";
import { t } from "./words.js";

const UNAUTHORIZED = 401;

/**
 * Trades a token for a session cookie; the words of what went wrong, or "".
 * @param {string} token
 */
export async function signIn(token) {
  try {
    await api.session(token);
    return "";
  } catch (error) {
    if (error instanceof ApiError && error.status === UNAUTHORIZED) return t("session.refused");
    return explain(error);
  }
}

/** @param {{ failure: string, onSigned: () => void }} props */
export function SessionForm({ failure, onSigned }) {
  const [token, setToken] = useState("");
  const [busy, setBusy] = useState(false);
  const [refused, setRefused] = useState(failure);
  const field = useRef(/** @type {HTMLInputElement | null} */ (null));
  useEffect(() => field.current?.focus(), []);
  /** @param {Event} event */
  const submit = async (event) => {
    event.preventDefault();
    if (!token.trim()) return field.current?.focus();
    setBusy(true);
    const trouble = await signIn(token.trim());
    setBusy(false);
    setRefused(trouble);
    if (trouble) field.current?.select();
    else onSigned();
  };
  return html`<main class="session">
    <form class="session-card" onSubmit=${submit}>
      <div class="brand-name">Sightline</div>
      <h1>${t("session.title")}</h1>
      <label class="form-label" for="token">${t("session.token")}</label>
      <input id="token" ref=${field} class="field number" type="password" autocomplete="current-password" spellcheck=${false} value=${token}
        aria-describedby="session-lead" aria-invalid=${refused ? "true" : undefined}
        onInput=${(/** @type {any} */ event) => { setToken(event.target.value); setRefused(""); }} />
      ${refused && html`<p class="failure" role="alert">${refused}</p>`}
      <button class="button primary wide" disabled=${busy}>${t(busy ? "session.busy" : "session.submit")}</button>
      <p class="faint" id="session-lead">${t("session.lead")}</p>
    </form>
  </main>`;
}
