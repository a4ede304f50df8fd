// How a test in another language uses inspectd: start it, say what it shall answer, act, wait, verify. No sleeps.
// Node's own modules are all it takes. Run it: node example.mjs inspectd   (or: node example.mjs python3 -m inspectd)

import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";

const [command, ...before] = process.argv.slice(2);
const server = spawn(
  command,
  [...before, "--headless", "--json", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0", "--answer", "404"],
  { stdio: ["ignore", "pipe", "inherit"] },
);

// The first line says where it listens, and where the control API and its token are.
const lines = createInterface({ input: server.stdout });
const listening = JSON.parse((await lines[Symbol.asyncIterator]().next()).value);
const base = `http://${listening.addresses[0]}`;
const token = readFileSync(listening.control_token_file, "utf8").trim();

async function control(method, path, content) {
  const response = await fetch(`http://${listening.control_tcp}/v1${path}`, {
    method,
    headers: { authorization: `Bearer ${token}` },
    body: content === undefined ? undefined : JSON.stringify(content),
  });
  const said = await response.json();
  if (!response.ok) throw new Error(`${method} ${path}: ${JSON.stringify(said)}`);
  return said;
}

// The code under test: it tries again when the server is busy, or breaks off.
async function pay(attempts = 5) {
  for (let attempt = 1; attempt <= attempts; attempt++) {
    try {
      const response = await fetch(`${base}/pay`, { method: "POST", body: "42" });
      const text = await response.text();
      if (response.ok) return { attempt, text };
    } catch (problem) {
      if (attempt === attempts) throw problem;
    }
  }
}

const saw = {};
try {
  await control("PUT", "/rules", {
    rules: [
      {
        name: "pay",
        match: "POST /pay",
        each: [
          "503 Busy",
          { respond: "200 OK", body: "only half of this", fault: { at: "body+50%", do: "reset" } },
          { respond: "200 OK", body: "paid" },
        ],
      },
      { name: "ask", match: "/ask", respond: "200 OK", hold: true },
    ],
  });
  saw.paid = await pay();

  // What did the client do? The same request came three times: after a 503, and after a reset.
  const waited = await control("POST", "/wait", { match: "POST /pay", count: 3, timeout: "30s" });
  saw.attempts = waited.exchanges.map((each) => ({
    status: each.status,
    attempt: each.evidence.attempt,
    ended_by: each.evidence.ended_by,
    how: each.evidence.how,
  }));
  saw.verified = await control("POST", "/verify", { match: { method: "POST", path: "/pay", body: "42" }, count: 3 });

  // Being the server: the request waits until somebody decides.
  const asked = fetch(`${base}/ask`);
  const held = await control("POST", "/wait", { match: "/ask", state: "held", timeout: "30s" });
  await control("POST", `/holds/${held.exchanges[0].id}/release`, { status: "200 By hand", body: "decided" });
  const answer = await asked;
  saw.held = { status: answer.status, reason: answer.statusText, text: await answer.text() };

  // What didn't come is told with what came closest.
  saw.missed = await control("POST", "/verify", { match: "PUT /pay" });
} finally {
  await control("POST", "/stop");
  await new Promise((resolve) => (server.exitCode === null ? server.once("exit", resolve) : resolve()));
}
saw.exit = server.exitCode;
console.log(JSON.stringify(saw));
