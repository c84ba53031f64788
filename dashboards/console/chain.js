// What a check did, step by step: TCP, TLS, HTTP, SOAP, login, with the time each took.
import { html, useState } from "./html.js";
import { milliseconds, moment, number, t, word } from "./words.js";

/** @typedef {import("./store.js").Store} Store */
/** @typedef {import("./shapes.js").Answer} Answer */

/** The ladder of one check, for the steps that were not reached. */
const LADDER = ["tcp", "tls", "http", "soap", "auth"];
/** A check has so long in all: a full bar. */
const LIMIT_MS = 3000;

/** @param {{ store: Store, trace: { last_answer: Answer | null, last_good: Answer | null, failures: Answer[] }, tls: boolean }} props */
export function Chain({ store, trace, tls }) {
  const failure = trace.failures[trace.failures.length - 1] ?? null;
  const latest = trace.last_answer;
  const [which, setWhich] = useState("latest");
  const answer = { latest, good: trace.last_good, failure }[which] ?? latest;
  /** @type {[string, Answer | null, string][]} */
  const tabs = [
    ["latest", latest, latest ? t("camera.chain_at", { at: moment(latest.ended_at, store.now_ms()) }) : ""],
    ["failure", failure, t("camera.chain_last_failure")],
    ["good", trace.last_good, t("camera.chain_last_good")],
  ];
  const offered = tabs.filter(([name, one]) => one && (name === "latest" || one.ended_at !== latest?.ended_at));
  return html`<h4>${t("camera.chain")}</h4>
    ${!answer ? html`<p class="faint">${t("camera.chain_none")}</p>` : html`
      <div class="switch chain-tabs" role="group">${offered.map(([name, , text]) => html`<button key=${name} class="number"
        aria-pressed=${which === name ? "true" : "false"} onClick=${() => setWhich(name)}>${text}</button>`)}</div>
      <${Steps} store=${store} answer=${answer} tls=${tls} />`}`;
}

/** Length of a bar: a root, so that milliseconds and a full time-out both show. @param {number} ms */
function share(ms) {
  return Math.min(100, Math.max(2, Math.sqrt(ms / LIMIT_MS) * 100));
}

/** @param {{ store: Store, answer: Answer, tls: boolean }} props */
function Steps({ store, answer, tls }) {
  const tried = answer.chain;
  const good = answer.verdict === "answered" && !answer.found.length;
  const broken = tried.some((step) => step.ok === false && LADDER.includes(step.name));
  const last = Math.max(-1, ...tried.map((step) => LADDER.indexOf(step.name)));
  const missed = broken ? LADDER.filter((name, i) => i > last && (name !== "tls" || tls)) : [];
  return html`
    ${good && html`<p class="chain-good">${t("camera.chain_good", { ms: milliseconds((answer.rtt_s ?? 0) * 1000) })}</p>`}
    <ol class="chain" data-chain=${answer.verdict}>
      ${tried.map((step, i) => html`<li key=${i} class=${`step ${step.ok === false ? "failed" : step.ok ? "passed" : "unsure"}`}>
        <span class="step-sign" aria-hidden="true">${step.ok === false ? "✕" : step.ok ? "✓" : "–"}</span>
        <span class="step-name">${word("step", step.name)}<span class="visually-hidden">: ${t(step.ok === false ? "step.failed" : "step.ok")}</span></span>
        <span class="step-bar" aria-hidden="true">${step.ms > 0 && html`<i style=${{ width: `${share(step.ms)}%` }} />`}</span>
        <span class="step-ms number">${step.ms > 0 && milliseconds(step.ms)}</span>
        ${step.detail && html`<span class="step-detail">${step.detail}</span>`}</li>`)}
      ${missed.map((name) => html`<li key=${name} class="step missed"><span class="step-sign" aria-hidden="true">·</span>
        <span class="step-name">${word("step", name)}</span><span class="step-detail">${t("step.skipped")}</span></li>`)}
    </ol>
    ${answer.found.map((one) => html`<p key=${one.cause} class="chain-found"><b>${word("fault", one.cause)}</b> ${one.detail}</p>`)}
    ${answer.verdict === "no_answer" && html`<p class="chain-found"><b>${word("outage", answer.cause)}</b></p>`}
    ${answer.clock_offset_s !== null && html`<p class="faint number">${t("camera.clock_offset", { n: number(answer.clock_offset_s, { maximumFractionDigits: 1, signDisplay: "exceptZero" }) })}</p>`}`;
}
