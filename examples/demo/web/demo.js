// The page: who is there, the BAM button, the call form, the log. What speaks WAMP is in wamp.js.

import { Message, messageName, Session } from "./wamp.js";

const URL = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`;
const REALM = "realm1";
const ROLL_CALL_MS = 20_000;
const ROLL_CALL_PATIENCE_MS = 3_000;
const LOG_LENGTH = 200;

const element = (id) => document.getElementById(id);
const pick = (list) => list[Math.floor(Math.random() * list.length)];

const COLOURS = { red: 5, orange: 28, amber: 45, green: 130, teal: 175, blue: 215, violet: 270, pink: 325 };
const ANIMALS = ["otter", "heron", "lynx", "badger", "finch", "seal", "gecko", "magpie", "hare", "newt", "owl", "wombat"];
const colour = pick(Object.keys(COLOURS));
const me = { id: null, name: `${colour} ${pick(ANIMALS)}`, hue: COLOURS[colour] };

let session = null;
const others = new Map(); // session id -> {id, name, hue, seen, label}

// --- Connection: try again for ever, waiting longer after each failure ---

let failures = 0;
let retryTimer = null;
let countdown = null;

function connect() {
  clearTimeout(retryTimer);
  clearInterval(countdown);
  showState("connecting", "");
  session = new Session(URL, REALM, {
    opened: (opened) => join(opened).catch((error) => showState("disconnected", error.message)),
    closed: reconnectLater,
    sent: (message) => log("sent", "→", message),
    received: (message) => log("received", "←", message),
  });
}

function reconnectLater(reason) {
  for (const id of [...others.keys()]) forget(id);
  const wait = Math.min(500 * 2 ** failures++, 10_000) * (0.75 + Math.random() / 2); // spread out, not all at once
  const due = Date.now() + wait;
  const show = () => showState("disconnected", `${reason}, next try in ${Math.max(0, Math.ceil((due - Date.now()) / 1000))} s`);
  show();
  countdown = setInterval(show, 1000);
  retryTimer = setTimeout(connect, wait);
}

function showState(state, detail) {
  const pill = element("state");
  if (pill.dataset.state !== state || pill.textContent === "") pill.textContent = state[0].toUpperCase() + state.slice(1);
  pill.dataset.state = state;
  element("state-detail").textContent = detail;
  element("retry").hidden = state !== "disconnected";
  element("bam").disabled = element("call-nobody").disabled = state !== "connected";
  showTabs();
}

async function join(opened) {
  me.id = String(opened.id);
  await opened.subscribe("demo.bam", bamReceived);
  await opened.subscribe("demo.tab.here", (args, tab) => meet(tab));
  await opened.subscribe("demo.tab.bye", (args, tab) => forget(String(tab.id)));
  await opened.subscribe("demo.tab.who", () => opened.publish("demo.tab.here", [], me));
  await opened.register(procedureOf(me.id), greet);
  failures = 0;
  showState("connected", `session ${me.id}`);
  element("my-procedure").textContent = procedureOf(me.id);
  await opened.publish("demo.tab.here", [], me);
  await opened.publish("demo.tab.who");
}

element("retry").addEventListener("click", connect);
window.addEventListener("online", () => element("retry").hidden || connect());
window.addEventListener("pagehide", () => tell("demo.tab.bye", [], me));

// Publish without caring about the answer: when the connection is lost, the page says so elsewhere.
const tell = (...event) => session.publish(...event).catch(() => {});

// --- Who is there: tabs announce themselves, and answer when one asks ---

const procedureOf = (id) => `demo.tab.${id}.greet`;

function meet({ id, name, hue }) {
  id = String(id);
  if (id === me.id) return;
  const tab = others.get(id) ?? { id, name: String(name), hue: Number(hue), label: null };
  tab.seen = Date.now();
  others.set(id, tab);
  showTabs();
}

function forget(id) {
  others.get(id)?.label?.remove();
  others.delete(id);
  showTabs();
}

// A tab that crashed says no goodbye. Tabs in the background answer too, but only one that is looked at asks.
function callTheRoll() {
  if (document.hidden || !session.id) return;
  const asked = Date.now();
  tell("demo.tab.who");
  setTimeout(() => {
    for (const tab of [...others.values()]) if (tab.seen < asked) forget(tab.id);
  }, ROLL_CALL_PATIENCE_MS);
}

function showTabs() {
  const list = element("tabs");
  for (const tab of others.values()) {
    if (tab.label) continue;
    tab.label = document.createElement("label");
    tab.label.className = "tab";
    tab.label.style.setProperty("--hue", tab.hue);
    const radio = Object.assign(document.createElement("input"), { type: "radio", name: "tab", value: tab.id });
    tab.label.append(radio, tab.name);
    list.append(tab.label);
  }
  if (!list.querySelector(":checked") && list.firstChild) list.firstChild.control.checked = true;
  element("no-tabs").hidden = others.size > 0;
  element("call-button").disabled = others.size === 0 || !session?.id;
  const count = others.size === 1 ? "and sees one other tab." : `and sees ${others.size} other tabs.`;
  element("tab-count").textContent = others.size === 0 ? "and is alone." : count;
}

// --- BAM ---

let bams = 0;

element("bam").addEventListener("click", async () => {
  bams += 1;
  try {
    await session.publish("demo.bam", [bams], me);
    say("bam-status", "fresh", `You sent BAM ${bams} to the other tabs.`);
  } catch (error) {
    say("bam-status", "failed", error.message);
  }
});

function bamReceived([count], tab) {
  const burst = document.createElement("div");
  burst.className = "burst";
  burst.style.setProperty("--hue", Number(tab.hue));
  burst.style.setProperty("--tilt", `${Math.random() * 30 - 15}deg`);
  burst.style.left = `${28 + Math.random() * 44}%`;
  burst.style.top = pick(["14%", "87%"]); // above or below the button, not on it
  const word = Object.assign(document.createElement("b"), { textContent: "BAM!" });
  const from = Object.assign(document.createElement("span"), { textContent: `${count} from ${tab.name}` });
  burst.append(word, from);
  element("bursts").append(burst);
  setTimeout(() => burst.remove(), 1800);
  say("bam-status", "fresh", `BAM ${count} from ${tab.name}.`);
}

// --- Calls ---

// The procedure that other tabs call. What it returns is what they get.
function greet([words], caller) {
  say("called", "fresh", `${caller.name} called this tab: “${words}”`);
  return `Hello ${caller.name}, this is ${me.name}. You said “${words}”`;
}

async function call(uri, words) {
  const start = performance.now();
  const took = () => `${(performance.now() - start).toFixed(1)} ms`;
  try {
    const answer = await session.call(uri, [words], { name: me.name });
    say("answer", "fresh", `${answer} (${took()} there and back)`);
  } catch (error) {
    say("answer", "failed", `ERROR ${error.message} (${took()})`);
    if (error.uri === "wamp.error.no_such_procedure") callTheRoll();
  }
}

element("call").addEventListener("submit", (event) => {
  event.preventDefault();
  const tab = element("tabs").querySelector(":checked");
  if (tab) call(procedureOf(tab.value), element("words").value);
});
element("call-nobody").addEventListener("click", () => call("demo.nobody.has.this", element("words").value));

function say(id, kind, text) {
  element(id).className = `result ${kind}`;
  element(id).textContent = text;
}

// --- The log ---

function log(direction, arrow, message) {
  if (element("pause").checked) return;
  const row = document.createElement("li");
  const part = (tag, className, text) => row.append(Object.assign(document.createElement(tag), { className, textContent: text }));
  const failed = message[0] === Message.ERROR || message[0] === Message.ABORT;
  part("span", direction, arrow);
  part("b", failed ? "error" : direction, messageName(message[0]));
  part("span", "raw", JSON.stringify(message));
  const list = element("log");
  list.prepend(row);
  while (list.children.length > LOG_LENGTH) list.lastChild.remove();
}

element("clear").addEventListener("click", () => element("log").replaceChildren());

// --- Go ---

element("my-name").textContent = me.name;
element("my-name").style.setProperty("--hue", me.hue);
setInterval(callTheRoll, ROLL_CALL_MS);
connect();
