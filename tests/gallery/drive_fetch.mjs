// Node's fetch against every case of the gallery: a JSON list of cases on standard input, a JSON line for each.

const WHOLE_MS = 3000;

let text = "";
for await (const piece of process.stdin) text += piece;
process.on("uncaughtException", () => {});
process.on("unhandledRejection", () => {});
console.log(JSON.stringify({ version: `node ${process.versions.node}, undici ${process.versions.undici}` }));
for (const wanted of JSON.parse(text)) {
  const started = performance.now();
  const made = { case: wanted.name, status: null, length: null, error: null };
  const headers = {};
  if (wanted.range) headers.Range = wanted.range;
  if (wanted.credentials) headers.Authorization = `Basic ${Buffer.from(wanted.credentials).toString("base64")}`;
  try {
    const reply = await fetch(wanted.url, {
      method: wanted.method,
      headers,
      body: wanted.upload ? "x".repeat(wanted.upload) : undefined,
      signal: AbortSignal.timeout(WHOLE_MS),
    });
    made.status = reply.status;
    made.length = (await reply.arrayBuffer()).byteLength;
  } catch (problem) {
    const cause = problem.cause ? `: ${problem.cause.code ?? problem.cause.name}: ${problem.cause.message}` : "";
    made.error = `${problem.name}: ${problem.message}${cause}`;
  }
  made.seconds = Math.round(performance.now() - started) / 1000;
  console.log(JSON.stringify(made));
}
process.exit(0);
