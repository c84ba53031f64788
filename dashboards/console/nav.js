// The line below the top one: pages on the left, preferences on the right.
import { api } from "./api.js";
import { useTopics } from "./bits.js";
import { html } from "./html.js";
import { PostureBadge } from "./posture.js";
import { PAGES, themeOf } from "./route.js";
import { t } from "./words.js";

/** @typedef {import("./store.js").Store} Store */

/** @param {{ store: Store, onHelp: () => void }} props */
export function Nav({ store, onHelp }) {
  useTopics(store, "phase", "route");
  const { route } = store;
  const light = themeOf(route) === "light";
  const theme = t(light ? "header.theme_dark" : "header.theme_light");
  return html`<div class="nav">
    <nav class="pages" aria-label=${t("nav.pages")}>
      ${PAGES.map((page) => html`<button key=${page} class="page" data-page=${page} aria-current=${route.page === page ? "page" : undefined}
        onClick=${() => store.go({ page, tab: "", pick: "", kind: "", list: "", camera: "" }, { step: true })}>${t(`nav.${page || "duty"}`)}</button>`)}
    </nav>
    <${PostureBadge} store=${store} />
    <span class="spring" />
    <button class="button quiet" onClick=${() => store.go({ lang: route.lang === "en" ? "zh-CN" : "en" })}>${t("header.language")}</button>
    <button class="button quiet square" aria-label=${theme} title=${theme} onClick=${() => store.go({ theme: light ? "dark" : "light" })}>
      <svg class="icon" viewBox="0 0 16 16" aria-hidden="true"><path d="M13 9.6A5.6 5.6 0 1 1 6.4 3a4.4 4.4 0 0 0 6.6 6.6z" /></svg></button>
    <button class="button quiet square" aria-label=${t("header.help")} title=${`${t("header.help")} (?)`} onClick=${onHelp}>?</button>
    ${store.me && html`<button class="button quiet who" title=${`${store.me.name} · ${t("header.leave")}`} onClick=${() => leave(store)}>${t("header.leave")}</button>`}
  </div>`;
}

/** Signs out. @param {Store} store */
async function leave(store) {
  await api.leave().catch(() => {});
  store.setPhase("locked");
}
