// The split's statistics, which the server computes in the background: asked for until they are there.

import { get } from "./api.js";

const FIRST_PAUSE = 150;
const LONGEST_PAUSE = 1500;

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
  let pause = FIRST_PAUSE;
  for (;;) {
    const found = await get("statistics/progress", place, signal);
    tell(found);
    if (found.state !== "running") return;
    await new Promise((resolve) => setTimeout(resolve, pause));
    if (signal.aborted) return;
    pause = Math.min(LONGEST_PAUSE, pause * 1.3);
  }
}
