// What the stream does not tell: asked again every so often while the page is looked at.
import { ApiError } from "./api.js";
import { useCallback, useEffect, useRef, useState } from "./html.js";
import { explain } from "./trouble.js";

const NOT_FOUND = 404;

/**
 * @template T
 * @param {(signal: AbortSignal) => Promise<T>} ask
 * @param {number} every_ms
 * @param {any[]} about asked anew when one of these changes
 * @returns {{ data: T | null, failure: string, missing: boolean, again: () => void }} `missing`: the gateway has no such thing
 */
export function usePolled(ask, every_ms, about) {
  const [known, setKnown] = useState(/** @type {{ data: T | null, failure: string, missing: boolean }} */ ({ data: null, failure: "", missing: false }));
  const now = useRef(() => {});
  useEffect(() => {
    const stop = new AbortController();
    const read = () => ask(stop.signal)
      .then((data) => stop.signal.aborted || setKnown({ data, failure: "", missing: false }))
      .catch((error) => stop.signal.aborted || setKnown((before) => ({
        ...before, failure: explain(error), missing: error instanceof ApiError && error.status === NOT_FOUND,
      })));
    now.current = read;
    setKnown({ data: null, failure: "", missing: false });
    read();
    const timer = setInterval(() => document.hidden || read(), every_ms);
    return () => {
      stop.abort();
      clearInterval(timer);
    };
  }, about);
  return { ...known, again: useCallback(() => now.current(), []) };
}
