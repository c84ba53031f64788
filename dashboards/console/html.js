// The one place that names the browser libraries.
import htm from "./lib/htm.js";
import { h } from "./lib/preact.js";

export { render } from "./lib/preact.js";
export { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "./lib/hooks.js";

export const html = htm.bind(h);
