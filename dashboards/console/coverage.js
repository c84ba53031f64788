// Coverage (覆盖): the headline, a map, what cannot be seen now, in which order to mend, what hangs on one camera.
import { Elapsed, useTopics } from "./bits.js";
import { useCoverage, useGround } from "./coverage_data.js";
import { html, useMemo } from "./html.js";
import { MapView, coverageLayers } from "./map.js";
import { Intrusions, Survey } from "./trust.js";
import { area, clock, joined, moment_full, number, share, signed, t, word } from "./words.js";

/** @typedef {import("./store.js").Store} Store */
/** @typedef {import("./coverage_data.js").Coverage} Coverage */

/** Words of the tabs. @type {Record<string, string>} */
const TABS = { spots: "coverage.tab_spots", repair: "coverage.tab_repair", single: "coverage.tab_single", survey: "coverage.tab_survey", intrusions: "coverage.tab_intrusions" };
const PLACE_STATES = ["seen", "unverified", "unknown", "blind", "never"];
/** The gateway settles coverage every 5 s and says so; older than this it is not the present. */
const OLD_S = 60;
const NAMES = 3;
const LISTED = 200;

/** @param {{ store: Store }} props */
export function CoveragePage({ store }) {
  useTopics(store, "route", "freshness");
  const data = useCoverage(store);
  const ground = useGround(store);
  const { route } = store;
  const chosen = useMemo(() => chosenOf(route.pick, data, ground), [route.pick, data.shapes, data.repair, ground.cameras]);
  if (data.off) return html`<section class="notice"><p id="coverage-off">${t("coverage.off")}</p></section>`;
  const sources = { ...ground, places: data.places, views: data.views, spots: data.shapes, spotMarks: data.marks };
  /** @param {string} pick */
  const choose = (pick) => store.go({ pick: route.pick === pick ? "" : pick, camera: "" });
  const onSpot = (/** @type {any} */ _id, /** @type {any} */ one) => store.go({ pick: one.spot ?? one.id, tab: "", camera: "" });
  const onCamera = (/** @type {any} */ _id, /** @type {any} */ one) => store.go({ camera: one.channel }, { step: true });
  return html`<section class="coverage" aria-labelledby="coverage-title">
      <${Wrong} check=${data.check} />
      <${Headline} store=${store} data=${data} />
      <${MapView} store=${store} sources=${sources} more=${coverageLayers} chosen=${chosen}
        onPick=${{ "cameras-trouble": onCamera, "spot-marks": onSpot, "spots-fill": onSpot, cameras: onCamera }}>
        <${MapLegend} ladder=${data.told?.ladder ?? ""} />
      <//>
    </section>
    <${Lists} store=${store} data=${data} choose=${choose} />`;
}

/** Features to stand out for a choice: a blind spot, or the cameras of a visit. @param {string} pick @param {Coverage} data @param {import("./coverage_data.js").Ground} ground */
function chosenOf(pick, data, ground) {
  if (!pick) return [];
  const spot = data.shapes?.features.find((one) => one.id === pick);
  if (spot) return [spot];
  const channels = new Set(pick.split("+"));
  return ground.cameras?.features.filter((one) => channels.has(one.properties.channel)) ?? [];
}

/** @param {{ store: Store, data: Coverage }} props */
function Headline({ store, data }) {
  useTopics(store, "stream", "tick");
  const { told } = data;
  if (!told) return html`<div class="headline"><h2 id="coverage-title">${t("coverage.title")}</h2><p class=${data.failure ? "failure" : "faint"}>${data.failure || t("incidents.loading")}</p></div>`;
  const old = store.stale || Boolean(data.failure) || (store.now_ms() - new Date(told.as_of).getTime()) / 1000 > OLD_S;
  const { blind_spots: spots, lost_area_m2: lost } = told;
  return html`<div class=${`headline ${old ? "old" : ""}`} id="headline" data-old=${old ? "true" : "false"}>
    ${told.listed ? html`
      <div class="rate"><h2 id="coverage-title">${t("coverage.rate")}</h2>
        <div><b class="rate-now number" id="rate-now">${share(told.seen_share)}</b><span class="faint">${t("coverage.designed")} <b class="number" id="rate-designed">${share(told.designed_share)}</b>${data.check.bounds && html` <span class="number" id="rate-bounds" title=${t("coverage.bounds")}>${share(data.check.bounds.lower_share)}–${share(data.check.bounds.upper_share)}</span>`}</span></div></div>
      <div class="rate-parts"><${Parts} told=${told} /></div>` : html`<${NoList} told=${told} />`}
    <dl class="figures">
      <div class=${spots ? "state-offline" : ""}><dt>${t("coverage.spots")}</dt><dd class="number" id="spot-count">${number(spots)}</dd></div>
      <div><dt>${t("coverage.lost")}</dt><dd class="number">${area(lost)}</dd></div>
      <div><dt>${t("header.as_of")}</dt><dd class="number small">${clock(told.as_of)}${old && html`<span class="tag">${t("coverage.old")}</span>`}</dd></div>
    </dl>
  </div>`;
}

/** Whether the figures can be relied on: the last recount differed, or there was none. @param {{ check: import("./coverage_data.js").Check }} props */
function Wrong({ check }) {
  const { recount, failure } = check;
  if (recount && !recount.equal) return html`<div class="banner banner-stale" id="recount-differs" role="alert"><span>${t("coverage.recount_differs")}</span>
    <span class="banner-time number" title=${moment_full(recount.at)}>${clock(recount.at)}</span></div>`;
  if (failure) return html`<div class="banner banner-gap" id="recount-failed" role="alert"><span>${t("coverage.recount_failed")}</span>
    <span class="banner-time number" title=${moment_full(failure.at)}>${clock(failure.at)}</span></div>`;
  return null;
}

/** How the weight of all listed places divides now. @param {{ told: any }} props */
function Parts({ told }) {
  const parts = PLACE_STATES.map((state) => ({ state, part: told[`${state}_share`] ?? 0 }));
  return html`<div class="parts-bar" aria-hidden="true">${parts.map(({ state, part }) => part > 0 && html`<i key=${state} style=${{ width: `${100 * part}%`, background: `var(--place-${state})` }} />`)}</div>
    <dl class="parts">${parts.map(({ state, part }) => html`<div key=${state} data-part=${state} title=${word("placemeaning", state)}>
      <dt><i class="swatch" style=${{ background: `var(--place-${state})` }} />${word("place", state)}</dt><dd class="number">${share(part)}</dd></div>`)}</dl>`;
}

/** @param {{ told: any }} props */
function NoList({ told }) {
  return html`<div class="no-list" id="no-list"><h2 id="coverage-title">${t("coverage.rate")} —</h2>
    <p>${told.drafts ? t("coverage.drafts", { n: number(told.drafts) }) : t("coverage.no_list")}</p>
    <p><code>${told.drafts ? "sightline import places --accept" : "sightline import places --suggest"}</code></p></div>`;
}

/** @param {{ ladder: string }} props */
function MapLegend({ ladder }) {
  return html`<ul class="map-legend">
    ${ladder && html`<li class="legend-title">${t("coverage.legend_ladder", { name: ladder })}</li>`}
    <li><i class="swatch area" />${t("coverage.legend_spot")}</li>
    <li><i class="swatch view" />${t("coverage.legend_view")}</li>
    ${["seen", "partly", "blind", "never"].map((state) => html`<li key=${state}><i class="swatch circle" style=${{ borderColor: `var(--place-${state})` }} />${t("coverage.legend_place")} · ${word("place", state)}</li>`)}
    <li><i class="swatch dot" style=${{ background: "var(--state-online)" }} /><i class="swatch dot" style=${{ background: "var(--state-offline)" }} />${t("coverage.legend_camera")}</li>
  </ul>`;
}

/** @param {{ store: Store, data: Coverage, choose: (pick: string) => void }} props */
function Lists({ store, data, choose }) {
  const tab = store.route.tab in TABS ? store.route.tab : "spots";
  return html`<section class="incidents lists" aria-labelledby="lists-title">
    <div class="pane-bar"><h2 class="visually-hidden" id="lists-title">${t(TABS[tab])}</h2>
      <div class="switch tabs" role="group">${Object.keys(TABS).map((name) => html`<button key=${name} data-tab=${name} aria-pressed=${tab === name ? "true" : "false"}
        onClick=${() => store.go({ tab: name === "spots" ? "" : name, pick: "" })}>${t(TABS[name])}</button>`)}</div></div>
    <div class="pane-scroll">
      ${tab === "spots" && html`<${Spots} store=${store} data=${data} choose=${choose} />`}
      ${tab === "repair" && html`<${Repair} store=${store} data=${data} choose=${choose} />`}
      ${tab === "single" && html`<${Single} store=${store} data=${data} choose=${choose} />`}
      ${tab === "survey" && html`<${Survey} store=${store} data=${data} choose=${choose} />`}
      ${tab === "intrusions" && html`<${Intrusions} store=${store} data=${data} choose=${choose} />`}
    </div>
  </section>`;
}

/** Names of places, the first few. @param {Coverage} data @param {string[]} ids */
function placeNames(data, ids) {
  const names = ids.slice(0, NAMES).map((id) => data.placeOf.get(id)?.properties.name ?? id);
  return joined(names) + (ids.length > NAMES ? t("coverage.and_more", { n: number(ids.length) }) : "");
}

/** @param {{ store: Store, data: Coverage, choose: (pick: string) => void }} props */
function Spots({ store, data, choose }) {
  const { spots, told } = data;
  if (told && !spots.length) return html`<div class="empty"><p>${t("coverage.none")}</p><p class="faint">${t("coverage.none_detail")}</p></div>`;
  return html`<ol id="spots">${spots.slice(0, LISTED).map((spot) => {
    const here = store.route.pick === spot.id;
    return html`<li key=${spot.id} class=${`row-item spot ${here ? "current" : ""} ${spot.places.length ? "" : "minor"}`} data-spot=${spot.id}>
      <button class="row" data-row aria-current=${here ? "true" : undefined} onClick=${() => choose(spot.id)}>
        <span class="row-name">${spot.places.length ? placeNames(data, spot.places) : t("coverage.no_place")}</span>
        <span class="row-end number" title=${moment_full(spot.failed_at)}><${Elapsed} store=${store} from=${spot.failed_at} /></span>
        <span class="row-more">${causeOf(spot)}<span class="faint"> · ${spot.township_name}</span></span>
        <span class="row-end faint number">${area(spot.area_now_m2)}</span></button>
      <${Responsible} store=${store} spot=${spot} /></li>`;
  })}</ol>
  ${spots.length > LISTED && html`<p class="faint padded">${t("coverage.first", { n: number(LISTED) })}</p>`}`;
}

/** @param {{ cause: string, planned: boolean }} spot */
function causeOf({ cause, planned }) {
  if (cause === "maintenance") return word("state", "maintenance");
  if (cause === "stream") return word("fault", "stream");
  return word("outage", cause) + (planned ? ` · ${t("incidents.planned")}` : "");
}

/** Whose outage it is, and who else saw it and was down already. @param {{ store: Store, spot: any }} props */
function Responsible({ store, spot }) {
  const name = (/** @type {string} */ id) => store.wall.channels[store.indexOf.get(id) ?? -1]?.name ?? id;
  return html`<p class="row-links"><span class="faint">${t("coverage.responsible")}</span>
    ${[spot.channel, ...spot.joint].slice(0, NAMES + 1).map((id, n) => html`<button key=${id} class="link" data-camera=${id}
      onClick=${() => store.go({ camera: id }, { step: true })}>${n === 0 && spot.camera_name ? spot.camera_name : name(id)}</button>`)}</p>`;
}

/** @param {{ store: Store, data: Coverage, choose: (pick: string) => void }} props */
function Repair({ store, data, choose }) {
  const { repair, told } = data;
  if (!repair) return html`<p class="faint padded">${t("incidents.loading")}</p>`;
  if (!repair.items.length) return html`<div class="empty"><p>${t("coverage.repair_none")}</p></div>`;
  return html`<p class="faint padded">${t("coverage.repair_lead")}</p>
    <ol id="repair">${repair.items.map((/** @type {any} */ visit, /** @type {number} */ n) => {
      const pick = visit.repairs.map((/** @type {any} */ one) => one.channel).join("+");
      const first = store.wall.channels[store.indexOf.get(visit.repairs[0].channel) ?? -1];
      const here = store.route.pick === pick;
      return html`<li key=${pick} class=${`row-item ranked ${here ? "current" : ""}`}><button class="row" data-row aria-current=${here ? "true" : undefined} onClick=${() => choose(pick)}>
        <span class="rank number">${n + 1}</span>
        <span class="row-name">${(visit.incident && visit.node_name) || first?.name || visit.repairs[0].channel}</span>
        <span class="row-end number gain">${signed(told?.weight ? visit.adds / told.weight : 0)}</span>
        <span class="row-more">${t("coverage.repair_visit", { n: number(visit.repairs.length) })}${visit.places.length > 0 && html`<span class="faint"> · ${placeNames(data, visit.places)}</span>`}</span>
        <span class="row-end faint number">${area(visit.lost_m2)}</span></button>
        ${visit.incident && html`<p class="row-links"><button class="link" data-incident=${visit.incident}
          onClick=${() => store.go({ page: "", tab: "", pick: "", incident: visit.incident }, { step: true })}>${t("coverage.open_incident")}</button></p>`}</li>`;
    })}</ol>
    ${repair.visits > repair.items.length && html`<p class="faint padded">${t("coverage.first", { n: number(repair.items.length) })}</p>`}`;
}

/** @param {{ store: Store, data: Coverage, choose: (pick: string) => void }} props */
function Single({ store, data, choose }) {
  const { redundancy, told } = data;
  if (!redundancy) return html`<p class="faint padded">${t("incidents.loading")}</p>`;
  const of = (/** @type {number} */ weight) => share(told?.weight ? weight / told.weight : 0, 2);
  return html`<p class="faint padded">${t("coverage.single_lead", { places: number(redundancy.places_single), share: of(redundancy.weight_single) })}</p>
    <ol id="single">${redundancy.failures.map((/** @type {any} */ one) => {
      const here = store.route.pick === one.channel;
      return html`<li key=${one.channel} class=${`row-item ${here ? "current" : ""}`}><button class="row" data-row aria-current=${here ? "true" : undefined} onClick=${() => choose(one.channel)}>
        <span class="row-name">${store.wall.channels[store.indexOf.get(one.channel) ?? -1]?.name ?? one.channel}</span>
        <span class="row-end number loss">−${of(one.weight)}</span>
        <span class="row-more faint">${placeNames(data, one.places)}</span></button></li>`;
    })}</ol>`;
}
