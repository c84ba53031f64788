// Planning (规划): where the next camera helps most. Plans, one plan with its sites in order, and starting one.
import { api } from "./api.js";
import { Dialog, useTopics } from "./bits.js";
import { useGround } from "./coverage_data.js";
import { html, useEffect, useMemo, useRef, useState } from "./html.js";
import { MapView, collection, planLayers } from "./map.js";
import { usePolled } from "./polled.js";
import { explain } from "./trouble.js";
import { bearing, joined, moment, money, number, share, signed, t, word } from "./words.js";

/** @typedef {import("./store.js").Store} Store */

const AGAIN_MS = 3000;
const WORKING = ["queued", "running"];
const SITES = 20;
const SITES_MAX = 500;
const NAMES = 3;
const TURNS = 20;

/** @param {{ store: Store }} props */
export function PlansPage({ store }) {
  useTopics(store, "route", "freshness");
  const { route } = store;
  const list = usePolled(api.plans, AGAIN_MS, []);
  const ground = useGround(store);
  const [asking, setAsking] = useState(false);
  const [place, setPlace] = useState("");
  const rows = list.data?.items ?? [];
  const id = route.pick || rows.find((/** @type {any} */ one) => one.status === "done")?.id || "";
  const status = rows.find((/** @type {any} */ one) => one.id === id)?.status ?? "";
  const plan = usePolled((signal) => (id ? api.plan(id, signal) : Promise.resolve(null)), 600_000, [id, status]);
  const result = plan.data?.result;
  const shapes = useMemo(() => shapesOf(result), [result]);
  const chosen = useMemo(() => shapes.sites.features.filter((one) => one.id === place), [shapes, place]);
  if (list.missing) return html`<section class="notice"><p>${t("plans.off")}</p></section>`;
  return html`<section class="coverage" aria-label=${t("map.title")}>
      ${result && html`<${Figures} plan=${plan.data} />`}
      <${MapView} store=${store} sources=${{ ...ground, ...shapes }} more=${planLayers} chosen=${chosen}
        onPick=${{ sites: (_id, one) => setPlace(one.site), cameras: (_id, one) => store.go({ camera: one.channel }, { step: true }) }} />
    </section>
    <section class="incidents lists" id="plans" aria-labelledby="plans-title">
      <div class="pane-bar"><h2 id="plans-title">${t("plans.title")}</h2><span class="spring" />
        ${store.may("plan") && html`<button class="button primary" id="plan-new" onClick=${() => setAsking(true)}>${t("plans.new")}</button>`}</div>
      <div class="pane-scroll">
        ${list.failure && html`<p class="failure padded" role="alert">${list.failure}</p>`}
        ${list.data && !rows.length && html`<div class="empty"><p>${t("plans.none")}</p><p class="faint">${t("plans.none_detail")}</p></div>`}
        <ol>${rows.map((/** @type {any} */ row) => html`<${PlanRow} key=${row.id} store=${store} row=${row} here=${row.id === id} again=${list.again} />`)}</ol>
        ${result && html`<${Result} store=${store} result=${result} id=${id} place=${place} setPlace=${setPlace} />`}
      </div>
    </section>
    ${asking && html`<${StartForm} onClose=${() => setAsking(false)} onStarted=${() => { setAsking(false); list.again(); }} />`}`;
}

/** Sites and views of a plan as layers. @param {any} result */
function shapesOf(result) {
  const sites = result?.sites ?? [];
  return {
    sites: collection(sites.map((/** @type {any} */ one) => ({
      type: "Feature", id: one.site, properties: { site: one.site, rank: String(one.rank) }, geometry: { type: "Point", coordinates: [one.longitude, one.latitude] },
    }))),
    siteViews: collection(sites.flatMap((/** @type {any} */ one) => one.cameras.map((/** @type {any} */ camera) => ({ type: "Feature", properties: {}, geometry: camera.view })))),
  };
}

/** @param {{ plan: any }} props */
function Figures({ plan }) {
  const { result } = plan;
  const { already } = result;
  const of = (/** @type {number} */ weight) => share(already.weight ? weight / already.weight : 0);
  return html`<div class="headline" id="plan-figures">
    <div class="rate"><h2>${t("plans.after", { n: number(result.sites.length) })}</h2>
      <div><b class="rate-now number">${of(already.weight_seen + result.gain)}</b><span class="faint">${t("plans.before")} <b class="number">${of(already.weight_seen)}</b></span></div></div>
    <div class="rate-parts"><${Curve} curve=${result.curve} already=${already} /></div>
    <dl class="figures">
      <div title=${t("plans.gap_meaning")}><dt>${t("plans.gap")}</dt><dd class="number" id="plan-gap">≤ ${number(Math.ceil(result.gap * 1e3) / 1e3, { style: "percent", maximumFractionDigits: 1 })}</dd></div>
      <div><dt>${t("plans.cost")}</dt><dd class="number">${money(result.cost)}</dd></div>
    </dl></div>`;
}

/** The marginal curve: what each further site adds. @param {{ curve: any[], already: any }} props */
function Curve({ curve, already }) {
  if (!curve.length) return null;
  const most = curve[curve.length - 1].gain || 1;
  const x = (/** @type {number} */ n) => (200 * n) / curve.length;
  const y = (/** @type {number} */ gain) => 44 - (42 * gain) / most;
  const points = [[0, 44], ...curve.map((one) => [x(one.sites), y(one.gain)])];
  const text = t("plans.curve", { n: number(curve.length), share: share(already.weight ? most / already.weight : 0) });
  return html`<svg class="curve" viewBox="0 0 200 46" preserveAspectRatio="none" role="img" aria-label=${text}>
      <path class="curve-area" d=${`M${points.map((p) => p.join(" ")).join("L")}L200 44Z`} /><path class="curve-line" d=${`M${points.map((p) => p.join(" ")).join("L")}`} /></svg>
    <p class="faint small">${text}</p>`;
}

/** @param {{ store: Store, row: any, here: boolean, again: () => void }} props */
function PlanRow({ store, row, here, again }) {
  const working = WORKING.includes(row.status);
  const [failure, setFailure] = useState("");
  const cancel = () => api.cancelPlan(row.id).then(again).catch((error) => setFailure(explain(error)));
  return html`<li class=${`row-item ${here ? "current" : ""}`} data-plan=${row.id} data-status=${row.status}>
    <button class="row" data-row aria-current=${here ? "true" : undefined} onClick=${() => store.go({ pick: row.id })}>
      <span class="row-name">${row.name || row.id}</span>
      <span class=${`row-end ${row.status === "failed" ? "failure" : ""}`}>${word("plan", row.status)}${row.status === "running" && ` ${share(row.progress, 0)}`}</span>
      <span class="row-more">${asked(row.request)}<span class="faint"> · ${row.actor} · ${moment(row.created_at, store.now_ms(), { short: true })}</span></span>
    </button>
    ${working && html`<div class="job"><progress max="1" value=${row.status === "running" ? row.progress : undefined} aria-label=${word("plan", row.status)} />
      ${store.may("plan") && html`<button class="button" onClick=${cancel}>${t("plans.cancel")}</button>`}</div>`}
    ${(failure || row.reason) && html`<p class="failure row-links">${failure || row.reason}</p>`}
  </li>`;
}

/** What was asked for. @param {any} request */
function asked(request) {
  const parts = [];
  if (request.sites) parts.push(t("plans.asked_sites", { n: number(request.sites) }));
  if (request.budget) parts.push(t("plans.asked_budget", { n: money(request.budget) }));
  return joined(parts);
}

/** Re-aim before build: standing cameras to turn first, and what this plan still adds then. @param {{ store: Store, result: any }} props */
function Turns({ store, result }) {
  const turns = result.reaim ?? [];
  if (!turns.length || result.gain_after_reaim === undefined) return null;
  const weight = result.already.weight || 1;
  const of = (/** @type {number} */ part) => share(part / weight, 2);
  const name = (/** @type {string} */ id) => store.wall.channels[store.indexOf.get(id) ?? -1]?.name ?? id;
  return html`<details class="turns" id="reaim">
    <summary><b>${t("plans.reaim", { n: number(turns.length) })}</b><span class="row-end gain number">${signed(result.reaim_net / weight)}</span>
      <span class="row-more">${t("plans.reaim_left", { before: of(result.gain), after: of(result.gain_after_reaim) })}</span></summary>
    <ol>${turns.slice(0, TURNS).map((/** @type {any} */ turn, /** @type {number} */ n) => html`<li key=${turn.channel} class="row-item ranked">
      <button class="row" data-row onClick=${() => store.go({ camera: turn.channel }, { step: true })}>
        <span class="rank number">${n + 1}</span><span class="row-name">${name(turn.channel)}</span><span class="row-end gain number">${signed(turn.net / weight)}</span>
        <span class="row-more">${bearing(turn.azimuth_deg)} → ${bearing(turn.new_azimuth_deg)}</span>
        <span class="row-end faint number">${turn.loss > 0 && t("plans.reaim_loss", { share: of(turn.loss) })}</span></button></li>`)}</ol>
    ${turns.length > TURNS && html`<p class="faint padded">${t("coverage.first", { n: number(TURNS) })}</p>`}
  </details>`;
}

/** @param {{ store: Store, result: any, id: string, place: string, setPlace: (site: string) => void }} props */
function Result({ store, result, id, place, setPlace }) {
  const weight = result.already.weight || 1;
  return html`<${Turns} store=${store} result=${result} />
    <div class="pane-bar"><h3>${t("plans.sites")}</h3><span class="spring" />
      <a class="link" href=${`api/v1/plans/${encodeURIComponent(id)}/export.xlsx`} download>XLSX</a>
      <a class="link" href=${`api/v1/plans/${encodeURIComponent(id)}/export.geojson`} download>GeoJSON</a></div>
    ${!result.sites.length && html`<div class="empty"><p>${t("plans.no_site")}</p></div>`}
    <ol id="sites">${result.sites.map((/** @type {any} */ site) => html`<li key=${site.site} class=${`row-item ranked ${place === site.site ? "current" : ""}`}>
      <button class="row" data-row aria-current=${place === site.site ? "true" : undefined} onClick=${() => setPlace(place === site.site ? "" : site.site)}>
        <span class="rank number">${site.rank}</span>
        <span class="row-name">${site.name || site.site}</span><span class="row-end gain number">${signed(site.gain / weight)}</span>
        <span class="row-more">${joined(site.places.slice(0, NAMES).map((/** @type {any} */ one) => one.name))}${site.places.length > NAMES && t("coverage.and_more", { n: number(site.places.length) })}
          <span class="faint"> · ${joined(site.cameras.map((/** @type {any} */ one) => bearing(one.azimuth_deg)))}</span></span>
        <span class="row-end number faint">${site.cost_known ? money(site.cost) : `≈ ${money(site.cost)}`}</span>
      </button></li>`)}</ol>`;
}

/** @param {{ onClose: () => void, onStarted: () => void }} props */
function StartForm({ onClose, onStarted }) {
  const [name, setName] = useState("");
  const [sites, setSites] = useState(SITES);
  const [failure, setFailure] = useState("");
  const [busy, setBusy] = useState(false);
  const field = useRef(/** @type {HTMLInputElement | null} */ (null));
  useEffect(() => field.current?.focus(), []);
  /** @param {Event} event */
  const submit = async (event) => {
    event.preventDefault();
    setBusy(true);
    try {
      await api.startPlan({ ...(name.trim() ? { name: name.trim() } : {}), sites });
      onStarted();
    } catch (error) {
      setFailure(explain(error));
      setBusy(false);
    }
  };
  return html`<${Dialog} title=${t("plans.new")} name="plan" onClose=${onClose}>
    <form onSubmit=${submit}>
      <label class="form-label" for="plan-name">${t("plans.name")}</label>
      <input id="plan-name" ref=${field} class="field wide" maxlength="80" value=${name} placeholder=${t("plans.name_hint")} onInput=${(/** @type {any} */ event) => setName(event.target.value)} />
      <label class="form-label" for="plan-sites">${t("plans.how_many")}</label>
      <input id="plan-sites" class="field number" type="number" min="1" max=${SITES_MAX} required value=${sites} onInput=${(/** @type {any} */ event) => setSites(Number(event.target.value))} />
      <p class="faint">${t("plans.lead")}</p>
      ${failure && html`<p class="failure" role="alert">${failure}</p>`}
      <div class="dialog-end"><button type="button" class="button" onClick=${onClose}>${t("acknowledge.cancel")}</button>
        <button class="button primary" disabled=${busy}>${t("plans.start")}</button></div>
    </form>
  <//>`;
}
