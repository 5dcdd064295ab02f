/** Server-sent events, read from the body of an answer to a POST, which EventSource cannot do. */

/**
 * The data of every event, parsed, in order; comments and the closing `[DONE]` are passed over.
 * @param {ReadableStream<Uint8Array>} body
 * @returns {AsyncGenerator<any>}
 */
export async function* events(body) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      rest += done ? decoder.decode() + "\n\n" : decoder.decode(value, { stream: true });
      const blocks = rest.split(/\r?\n\r?\n/);
      rest = blocks.pop();
      for (const block of blocks) {
        const data = dataOf(block);
        if (data && data !== "[DONE]") yield JSON.parse(data);
      }
      if (done) return;
    }
  } finally {
    // Leaving early closes the connection, which is how the server learns that nobody waits any more.
    reader.cancel().catch(() => {});
  }
}

function dataOf(block) {
  return block
    .split(/\r?\n/)
    .filter((line) => line.startsWith("data:"))
    .map((line) => line.slice(5).replace(/^ /, ""))
    .join("\n");
}
