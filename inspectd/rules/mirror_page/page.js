"use strict";
// The controls of the mirror page. Everything that comes back is shown as text, never as markup.

const byId = (id) => document.getElementById(id);
const base = "/.inspectd/";
let count = 0;

// A fresh query each time: a cache must not answer in place of inspectd.
const fresh = (name) => `${base}${name}?n=${++count}`;

function show(title, text = "") {
  byId("result").hidden = false;
  byId("result-title").textContent = title;
  byId("result-text").textContent = text;
  byId("result-text").hidden = !text;
  byId("result").scrollIntoView({ block: "nearest" });
}

async function ask(title, url, options) {
  byId("result-show").replaceChildren();
  show(title, "…");
  try {
    const response = await fetch(url, { headers: { Accept: "text/plain" }, ...options });
    show(title, `${response.status} ${response.statusText}. What arrived at inspectd:\n\n${await response.text()}`);
  } catch (error) {
    show(title, `The browser did not hand over a response: ${error.message}`);
  }
}

function load(title, node, url, attribute) {
  byId("result-show").replaceChildren();
  show(title, "…");
  // Only the words change when it has arrived: to move a frame in the page would load it again.
  node.addEventListener("load", () => show(title, `Loaded ${url}`));
  node.addEventListener("error", () => show(title, `Not loaded: ${url}`));
  node[attribute] = url;
  (node.matches("img, iframe") ? byId("result-show") : document.head).append(node);
}

// The other name of this machine: the same server, but another site to a browser.
const others = { localhost: "127.0.0.1", "127.0.0.1": "localhost", "[::1]": "localhost" };
const other = others[location.hostname];
const port = location.port && `:${location.port}`;

const actions = {
  image: () => load("An image", new Image(), fresh("image.svg"), "src"),
  script: () => load("A script", document.createElement("script"), fresh("script.js"), "src"),
  style: () => {
    const link = document.createElement("link");
    link.rel = "stylesheet";
    load("A style sheet", link, fresh("style.css"), "href");
  },
  iframe: () => {
    const frame = document.createElement("iframe");
    frame.title = "The frame's own request";
    load("A frame", frame, fresh("frame"), "src");
  },
  "fetch-get": () => ask("fetch GET", fresh("echo")),
  "fetch-put": () =>
    ask("fetch PUT", fresh("echo"), {
      method: "PUT",
      headers: { Accept: "text/plain", "Content-Type": "application/json" },
      body: JSON.stringify({ name: "Ada", born: 1815, languages: ["en", "fr"] }),
    }),
  // A field of its own makes the browser ask first, with a CORS preflight.
  "fetch-cross": () =>
    ask(`fetch GET from ${other}`, `${location.protocol}//${other}${port}${fresh("echo")}`, {
      headers: { Accept: "text/plain", "X-Inspectd": "cross-origin" },
    }),
  beacon: () => {
    const queued = navigator.sendBeacon(fresh("beacon"), "a note that needs no answer");
    byId("result-show").replaceChildren();
    show("sendBeacon", queued ? "The browser sends it when it likes, and tells the page nothing more." : "Refused.");
  },
  "event-source": () => {
    const url = fresh("events");
    byId("result-show").replaceChildren();
    show("EventSource", "…");
    const source = new EventSource(url);
    source.addEventListener("hello", (event) => {
      source.close();
      show("EventSource", `An event of type hello: ${event.data}`);
    });
    source.addEventListener("error", () => source.close());
  },
};

for (const [id, action] of Object.entries(actions)) byId(id).addEventListener("click", action);
if (!other) {
  byId("fetch-cross").disabled = true;
  byId("fetch-cross").title = "Only on localhost, 127.0.0.1 and [::1]: this page knows no other name of its server.";
}
