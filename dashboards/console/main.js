// The console: puts the parts on the page and ties keys and address bar to the store.
import { AcknowledgeForm } from "./acknowledge.js";
import { whenLocked } from "./api.js";
import { useTopics } from "./bits.js";
import { CameraPanel } from "./camera.js";
import { Banners, Header } from "./header.js";
import { CoveragePage } from "./coverage.js";
import { EventsPage } from "./events.js";
import { Help } from "./help.js";
import { html, render, useCallback, useEffect, useRef, useState } from "./html.js";
import { IncidentsView, toggle } from "./incidents.js";
import { moveFocus, onKeys } from "./keys.js";
import { ListingView } from "./listing.js";
import { Nav } from "./nav.js";
import { PlansPage } from "./plans.js";
import { PREFERS_LIGHT, readRoute, takeToken, themeOf } from "./route.js";
import { Screen } from "./screen.js";
import { SessionForm, signIn } from "./session.js";
import { Store } from "./store.js";
import { follow } from "./stream.js";
import { WallView } from "./wall.js";
import { t, useLanguage } from "./words.js";

/** @typedef {import("./shapes.js").Incident} Incident */

const store = new Store();

/** @param {Store} store */
function applyPreferences({ route }) {
  useLanguage(route.lang);
  document.title = `Sightline ${t("app.title")}`;
  document.documentElement.dataset.theme = themeOf(route);
}

/** @param {{ failure: string }} props what went wrong with the token in the address */
function App({ failure }) {
  useTopics(store, "phase", "route");
  if (store.phase === "locked") {
    return html`<${SessionForm} failure=${failure} onSigned=${() => store.setPhase("loading")} />`;
  }
  return html`<${Signed} />`;
}

/** Everything behind the sign-in; its life is the life of the stream. */
function Signed() {
  useTopics(store, "phase", "route", "freshness");
  const [current, setShown] = useState(store.route.incident);
  // Keys may come faster than the page is drawn: they read the latest choice here.
  const chosen = useRef(current);
  const setCurrent = useCallback((/** @type {string} */ id) => {
    chosen.current = id;
    setShown(id);
  }, []);
  const [acknowledging, setAcknowledging] = useState(/** @type {Incident | null} */ (null));
  const [help, setHelp] = useState(false);
  useEffect(() => follow(store), []);
  const { camera, page, wall } = store.route;

  useEffect(() => onKeys({
    search: () => /** @type {HTMLElement | null} */ (document.getElementById("search"))?.focus(),
    help: () => setHelp(true),
    move: (step) => {
      if (store.route.camera) store.go({ camera: "" });
      moveFocus(step);
    },
    open: () => store.incidents.has(chosen.current) && toggle(store, chosen.current),
    acknowledge: () => store.may("operate") && setAcknowledging(store.incidents.get(chosen.current) ?? null),
    close: () => {
      const { route } = store;
      if (route.camera) store.go({ camera: "" }, { step: true });
      else if (route.pick) store.go({ pick: "" });
      else if (route.list) store.go({ list: "", states: [] });
      else if (route.incident) toggle(store, route.incident);
      else if (route.township || route.states.length) store.go({ township: "", states: [] });
    },
  }), []);

  if (store.phase === "failed") {
    return html`<main class="notice"><p>${t("app.failed", { reason: store.failure })}</p>
      <button class="button primary" onClick=${() => location.reload()}>${t("app.retry")}</button></main>`;
  }
  if (wall) return html`<${Banners} store=${store} /><${Screen} store=${store} />`;
  return html`<a class="skip" href="#incidents">${t("app.skip")}</a>
    <${Header} store=${store} />
    <${Nav} store=${store} onHelp=${() => setHelp(true)} />
    <${Banners} store=${store} />
    <main class=${`panes page-${page || "duty"} ${store.stale ? "old" : ""}`}>
      ${store.phase !== "ready" ? html`<section class="wall notice"><p>${t("app.loading")}</p></section>` : html`<${Page} store=${store}
        current=${current} setCurrent=${setCurrent} onAcknowledge=${setAcknowledging} />`}
      ${camera && html`<${CameraPanel} key=${camera} store=${store} id=${camera} onClose=${() => store.go({ camera: "" }, { step: true })} />`}
    </main>
    ${acknowledging && html`<${AcknowledgeForm} store=${store} incident=${acknowledging} onClose=${() => setAcknowledging(null)} />`}
    ${help && html`<${Help} onClose=${() => setHelp(false)} />`}`;
}

/** What the address asks for. @param {{ store: Store, current: string, setCurrent: (id: string) => void, onAcknowledge: (incident: Incident) => void }} props */
function Page({ store, ...incidents }) {
  const { page, list } = store.route;
  if (page === "coverage") return html`<${CoveragePage} store=${store} />`;
  if (page === "events") return html`<${EventsPage} store=${store} />`;
  if (page === "plans") return html`<${PlansPage} store=${store} />`;
  return html`<${WallView} store=${store} />
    ${list ? html`<${ListingView} key=${list} store=${store} state=${list} />` : html`<${IncidentsView} store=${store} ...${incidents} />`}`;
}

/** Starts the console on the page. */
async function start() {
  applyPreferences(store);
  store.on("route", () => applyPreferences(store));
  PREFERS_LIGHT.addEventListener("change", () => store.tell("route"));
  window.addEventListener("popstate", () => {
    store.route = readRoute();
    store.tell("route");
  });
  whenLocked(() => store.setPhase("locked"));
  const token = takeToken();
  const failure = token ? await signIn(token) : "";
  if (failure) store.setPhase("locked");
  const root = /** @type {HTMLElement} */ (document.getElementById("app"));
  root.replaceChildren();
  render(html`<${App} failure=${failure} />`, root);
}

await start();
