// The split's statistics, which the server computes in the background: asked for until they are there.

import { get } from "./api.js";

// Seconds that the server waits for the end before it says how far it is.
const FIRST_LOOK = 0.15;
const LAST_LOOK = 1.5;

/**
 * @typedef {object} Progress
 * @property {"running"|"done"|"failed"} state
 * @property {number} done  columns finished
 * @property {number} total  columns there are
 * @property {any[]} statistics  of the columns finished so far
 * @property {number} num_examples
 * @property {string} [error]
 */

/**
 * Statistics as they become known.
 * @param {{config: string, split: string}} place
 * @param {AbortSignal} signal
 * @param {(found: Progress) => void} tell
 */
export async function followStatistics(place, signal, tell) {
  let patience = FIRST_LOOK;
  for (;;) {
    const found = await get("statistics/progress", { ...place, wait: patience }, signal);
    if (signal.aborted) return;
    tell(found);
    if (found.state !== "running") return;
    patience = Math.min(LAST_LOOK, patience * 1.3);
  }
}
