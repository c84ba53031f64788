// One camera: state, bounds, what the last checks did step by step, its incident, its history.
import { api } from "./api.js";
import { Elapsed, Mark, useTopics } from "./bits.js";
import { Chain } from "./chain.js";
import { html, useEffect, useRef, useState } from "./html.js";
import { AcceptTakeover } from "./takeover.js";
import { explain } from "./trouble.js";
import { channels, duration, failed, milliseconds, moment, moment_full, seconds_between, t, word } from "./words.js";

/** @typedef {import("./store.js").Store} Store */
/** @typedef {import("./shapes.js").Outage} Outage */
/** @typedef {import("./shapes.js").Answer} Answer */

const RELOAD_MS = 400;

/**
 * Everything the panel shows, read again whenever the camera's state changes.
 * @param {Store} store @param {string} id
 */
function useCamera(store, id) {
  const [data, setData] = useState(/** @type {any} */ (null));
  const [failure, setFailure] = useState("");
  const reload = useRef(() => {});
  useEffect(() => {
    let stop = new AbortController();
    let timer = 0;
    const read = async () => {
      stop.abort();
      stop = new AbortController();
      const { signal } = stop;
      try {
        const [camera, history, trace] = await Promise.all([api.camera(id, signal), api.history(id, signal), api.trace(id, signal)]);
        setData({ camera, history, trace });
        setFailure("");
      } catch (error) {
        if (!signal.aborted) setFailure(explain(error));
      }
    };
    reload.current = () => {
      clearTimeout(timer);
      timer = window.setTimeout(read, RELOAD_MS);
    };
    setData(null);
    read();
    const index = store.indexOf.get(id);
    const stops = [
      store.on("states", (/** @type {Set<number>} */ changed) => index !== undefined && changed.has(index) && reload.current()),
      store.on("rows", (/** @type {string} */ channel) => channel === id && reload.current()),
      store.on("wall", () => reload.current()),
    ];
    return () => {
      stop.abort();
      clearTimeout(timer);
      for (const one of stops) one();
    };
  }, [id]);
  return { data, failure, reload: () => reload.current() };
}

/** @param {{ store: Store, id: string, onClose: () => void }} props */
export function CameraPanel({ store, id, onClose }) {
  useTopics(store, "route", "states", "incidents");
  const { data, failure, reload } = useCamera(store, id);
  const index = store.indexOf.get(id);
  const channel = index === undefined ? undefined : store.wall.channels[index];
  const state = store.stateOf(id);
  const camera = data?.camera;
  return html`<section class="camera" id="camera" aria-labelledby="camera-name" data-camera=${id}>
    <div class="pane-bar">
      <h2>${t("camera.title")}</h2>
      <span class="spring" />
      <button class="button quiet" onClick=${onClose} aria-label=${t("camera.close")}>
        ${store.route.incident ? t("camera.back") : t("camera.close")} <kbd>Esc</kbd></button>
    </div>
    <div class="pane-scroll camera-body">
      <h3 id="camera-name">${channel?.name ?? camera?.name ?? id}</h3>
      ${state && html`<p class="camera-state">
        <span class=${`badge state-${state}`} id="camera-state"><${Mark} state=${state} />${word("state", state)}</span>
        ${camera && html`<span class="faint number" title=${moment_full(camera.since_at)}>${t("camera.since", { at: moment(camera.since_at, store.now_ms()) })} · <${Elapsed} store=${store} from=${camera.since_at} /></span>`}
      </p>`}
      ${camera && html`<${Remarks} camera=${camera} />`}
      ${index === undefined && store.phase === "ready" && html`<p class="failure">${t("camera.missing")}</p>`}
      ${failure && html`<p class="failure" role="alert">${failure}</p>`}
      ${!data && !failure && html`<p class="faint">${t("incidents.loading")}</p>`}
      ${data && html`
        ${camera.in_use && store.may("operate") && html`<${CheckNow} key=${id} id=${id} onDone=${reload} />`}
        ${camera.takeover && store.may("operate") && html`<${AcceptTakeover} key=${`takeover ${id}`} id=${id}
          township=${camera.township} township_name=${camera.township_name} onDone=${reload} />`}
        <${Group} store=${store} outage=${camera.outage} />
        <${Bounds} store=${store} outage=${camera.outage} trace=${data.trace} />
        <${Faults} store=${store} faults=${camera.faults} />
        <${Chain} store=${store} trace=${data.trace} tls=${camera.device_detail.tls} />
        <${History} store=${store} outages=${data.history.outages} />
        <${Archive} camera=${camera} />`}
    </div>
  </section>`;
}

/** @param {{ camera: any }} props */
function Remarks({ camera }) {
  const remarks = [
    camera.suspect && t("camera.suspect"),
    camera.outage?.flapping && t("camera.flapping"),
    camera.takeover && t("camera.takeover"),
    camera.outage?.planned && t("camera.planned"),
  ].filter(Boolean);
  if (!remarks.length) return null;
  return html`<p class="remarks">${remarks.map((text) => html`<span class="tag" key=${text}>${text}</span>`)}</p>`;
}

/** @param {{ id: string, onDone: () => void }} props */
function CheckNow({ id, onDone }) {
  const [busy, setBusy] = useState(false);
  const [result, setResult] = useState(/** @type {{ good: boolean, text: string } | null} */ (null));
  const check = async () => {
    setBusy(true);
    setResult(null);
    try {
      const { answer } = await api.check(id);
      setResult({ good: answer.verdict === "answered" && !answer.found.length, text: verdict(answer) });
      onDone();
    } catch (error) {
      setResult({ good: false, text: explain(error) });
    }
    setBusy(false);
  };
  return html`<div class="check">
    <button class="button primary" id="check-now" disabled=${busy} onClick=${check}>${busy ? t("camera.checking") : t("camera.check")}</button>
    <span role="status" class=${`check-result ${result ? (result.good ? "good" : "bad") : "faint"}`} id="check-result">
      ${result ? result.text : t("camera.check_note")}</span>
  </div>`;
}

/** @param {Answer} answer */
function verdict(answer) {
  if (answer.verdict === "could_not_tell") return t("camera.check_could_not_tell");
  if (answer.verdict === "no_answer") return t("camera.check_no_answer", { cause: word("outage", answer.cause) });
  if (answer.found.length) return t("camera.check_found", { found: answer.found.map((one) => word("fault", one.cause)).join("、") });
  return t("camera.check_good", { ms: milliseconds((answer.rtt_s ?? 0) * 1000) });
}

/** @param {{ store: Store, outage: Outage | null }} props */
function Group({ store, outage }) {
  const incident = outage?.incident ? store.incidents.get(outage.incident) : undefined;
  if (!incident) return null;
  return html`<h4>${t("camera.group")}</h4>
    <button class="group" onClick=${() => store.go({ incident: incident.id, camera: "" }, { step: true })}>
      ${incident.root_kind === "channel" ? html`<span>${t("camera.group_single")}</span>` : html`<span>${incident.root_name}</span>
        <span class="arrow" aria-hidden="true">→</span><b class="number">${channels(incident.open_children)}</b>`}
      <span class="faint">${failed(incident)}</span></button>`;
}

/** @param {{ store: Store, outage: Outage | null, trace: { last_good: Answer | null } }} props */
function Bounds({ store, outage, trace }) {
  const now = store.now_ms();
  const seen = outage ? outage.last_seen_at : trace.last_good?.started_at;
  /** @type {[string, string | null | undefined][]} */
  const rows = outage
    ? [["last_seen", seen], ["first_failed", outage.failed_at], ["confirmed", outage.confirmed_at], ["last_failed", outage.last_failed_at]]
    : [["last_seen", seen]];
  return html`<h4>${t("camera.bounds")}</h4>
    <dl class="facts pairs">${rows.map(([name, at]) => html`<div key=${name}><dt>${t(`camera.${name}`)}</dt>
      <dd class="number" title=${moment_full(at)}>${moment(at, now)}</dd></div>`)}</dl>
    ${outage && html`<p class="faint">${outage.cause && html`<b>${word("outage", outage.cause)}</b> · `}${t("camera.bounds_note")}</p>`}`;
}

/** @param {{ store: Store, faults: any[] }} props */
function Faults({ store, faults }) {
  if (!faults.length) return null;
  return html`<h4>${t("camera.faults")}</h4>
    <ul class="faults">${faults.map((fault) => html`<li key=${fault.id}><${Mark} state="degraded" />
      <b>${word("fault", fault.cause)}</b><span class="number"><${Elapsed} store=${store} from=${fault.failed_at} /></span>
      <span class="fault-reason number">${t("camera.last_seen")} ${moment(fault.last_seen_at, store.now_ms())} · ${t("camera.first_failed")} ${moment(fault.failed_at, store.now_ms())}</span>
      ${fault.reason.length > 0 && html`<span class="fault-reason">${fault.reason.join(" → ")}</span>`}</li>`)}</ul>`;
}

/** @param {{ store: Store, outages: Outage[] }} props */
function History({ store, outages }) {
  const now = store.now_ms();
  return html`<h4>${t("camera.history")}</h4>
    ${!outages.length ? html`<p class="faint">${t("camera.history_none")}</p>` : html`<table class="history">
      <thead><tr><th>${t("camera.history_began")}</th><th>${t("camera.history_lasted")}</th><th>${t("camera.history_cause")}</th></tr></thead>
      <tbody>${outages.map((one) => html`<tr key=${one.id} class=${one.ended_at ? "" : "open"}>
        <td class="number" title=${`${moment_full(one.last_seen_at)} / ${moment_full(one.failed_at)}`}>${moment(one.last_seen_at, now)}<br />${moment(one.failed_at, now)}</td>
        <td class="number">${one.ended_at ? duration(seconds_between(one.failed_at, one.ended_at)) : html`<${Elapsed} store=${store} from=${one.failed_at} />`}
          <br /><span class="faint">${one.ended_at ? word("ending", one.ending) : t("time.open")}</span></td>
        <td>${word("outage", one.cause)}
          ${one.flapping && html`<span class="tag">${t("camera.flapping")}</span>`}${one.planned && html`<span class="tag">${t("incidents.planned")}</span>`}</td>
      </tr>`)}</tbody></table>`}`;
}

/** @param {{ camera: any }} props */
function Archive({ camera }) {
  const device = camera.device_detail;
  /** @type {[string, string | undefined][]} */
  const rows = [
    ["id", camera.id],
    ["place", [camera.township_name, camera.village_name, camera.grid_name].filter(Boolean).join(" · ")],
    ["installed", camera.archive.address],
    ["path", camera.path.map((/** @type {any} */ node) => node.name).join(" → ")],
    ["address", `${device.host}:${device.port}`],
    ["vendor", [camera.manufacturer, camera.model].filter(Boolean).join(" ")],
    ["maintainer", camera.maintainer],
    ["carrier", camera.carrier],
    ["contact", camera.contact],
  ];
  return html`<h4>${t("camera.archive")}</h4>
    <dl class="facts archive">${rows.filter(([, value]) => value).map(([name, value]) => html`<div key=${name} class="wide">
      <dt>${t(`camera.${name}`)}</dt><dd>${value}</dd></div>`)}</dl>`;
}
