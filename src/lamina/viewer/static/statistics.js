// The split's statistics, which the server computes in the background: asked for until they are there.

import { get } from "./api.js";

const FIRST_PAUSE = 250;
const LONGEST_PAUSE = 2000;

/**
 * Statistics as they become known.
 * @param {{config: string, split: string}} place
 * @param {AbortSignal} signal
 * @param {(found: {statistics: any[], progress: number, done: boolean, total?: number}) => void} tell  called with all known so far
 */
export async function followStatistics(place, signal, tell) {
  let pause = FIRST_PAUSE;
  for (;;) {
    try {
      const found = await get("statistics", place, signal);
      tell({ statistics: found.statistics, progress: 1, done: true, total: found.num_examples });
      return;
    } catch (error) {
      if (error.code !== "ResponseNotReady") throw error;
      tell({ statistics: error.body?.statistics ?? [], progress: error.body?.progress ?? 0, done: false });
    }
    await new Promise((resolve) => setTimeout(resolve, pause));
    if (signal.aborted) return;
    pause = Math.min(LONGEST_PAUSE, pause * 1.4);
  }
}
