// How far the figures can be trusted (覆盖): which missing archive fields cost most, and who looks where none may.
import { html } from "./html.js";
import { area, joined, number, signed, t, word } from "./words.js";

/** @typedef {import("./store.js").Store} Store */
/** @typedef {import("./coverage_data.js").Coverage} Coverage */
/** @typedef {{ store: Store, data: Coverage, choose: (pick: string) => void }} ListProps */

/** Cameras to survey, the one whose missing fields leave most in doubt first. @param {ListProps} props */
export function Survey({ store, data, choose }) {
  const { survey, told } = data;
  if (!survey) return html`<p class="faint padded">${t("incidents.loading")}</p>`;
  if (!survey.items.length) return html`<div class="empty"><p>${t("coverage.survey_none")}</p></div>`;
  const of = (/** @type {number} */ weight) => signed(told?.weight ? weight / told.weight : 0, "±");
  const fields = Object.entries(survey.by_field).filter(([, weight]) => weight > 0).sort((a, b) => b[1] - a[1]);
  return html`<p class="faint padded">${t("coverage.survey_lead", { n: number(survey.cameras) })}</p>
    <dl class="by-field" id="survey-fields">${fields.map(([name, weight]) => html`<div key=${name}><dt>${word("field", name)}</dt><dd class="number">${of(weight)}</dd></div>`)}</dl>
    <ol id="survey">${survey.items.map((/** @type {any} */ one) => {
      const here = store.route.pick === one.channel;
      return html`<li key=${one.channel} class=${`row-item ranked ${here ? "current" : ""}`}><button class="row" data-row aria-current=${here ? "true" : undefined} onClick=${() => choose(one.channel)}>
        <span class="rank number">${one.rank}</span>
        <span class="row-name">${one.camera_name || one.channel}</span>
        <span class="row-end number doubt">${of(one.weight)}</span>
        <span class="row-more">${t("coverage.survey_lacks", { fields: joined(one.fields.map((/** @type {any} */ field) => word("field", field.field))) })}<span class="faint"> · ${one.township_name}</span></span>
        <span class="row-end faint number">${area(one.area_m2)}</span></button></li>`;
    })}</ol>
    ${survey.next && html`<p class="faint padded">${t("coverage.first", { n: number(survey.items.length) })}</p>`}`;
}

/** Cameras that look into prohibited areas. @param {ListProps} props */
export function Intrusions({ store, data, choose }) {
  const { intrusions } = data;
  if (!intrusions) return html`<p class="faint padded">${t("incidents.loading")}</p>`;
  if (!intrusions.items.length) return html`<div class="empty"><p>${t("coverage.intrusions_none")}</p><p class="faint">${t("coverage.intrusions_none_detail")}</p></div>`;
  return html`<p class="faint padded">${t("coverage.intrusions_lead", { cameras: number(intrusions.cameras), areas: number(intrusions.areas) })}</p>
    <ol id="intrusions">${intrusions.items.map((/** @type {any} */ one) => {
      const here = store.route.pick === one.channel;
      return html`<li key=${`${one.channel} ${one.area}`} class=${`row-item spot ${one.sure === "possible" ? "minor" : ""} ${here ? "current" : ""}`}>
        <button class="row" data-row aria-current=${here ? "true" : undefined} onClick=${() => choose(one.channel)}>
          <span class="row-name">${one.camera_name || one.channel}</span>
          <span class="row-end">${word("sure", one.sure)}</span>
          <span class="row-more">${t("coverage.intrusion_into", { area: one.area_name || one.area })}<span class="faint"> · ${one.township_name}</span></span>
          <span class="row-end faint number">${area(one.sure === "possible" ? one.most_m2 : one.overlap_m2)}</span></button>
        <p class="row-links"><button class="link" data-camera=${one.channel} onClick=${() => store.go({ camera: one.channel }, { step: true })}>${t("coverage.open_camera")}</button></p></li>`;
    })}</ol>
    ${intrusions.next && html`<p class="faint padded">${t("coverage.first", { n: number(intrusions.items.length) })}</p>`}`;
}
