/** The departures board: one channel of flights, drawn as rows of split-flap tiles. */

import { CITIES } from "./airports.js";
import { Flaps } from "./flaps.js";
import { Nexxus } from "./nexxus.js";

const AIRPORTS = ["ORD", "DFW", "LAX", "ATL", "PHX", "STL", "LAS", "EWR", "IAH", "DEN", "PHL", "MSP",
  "BOS", "BWI", "SFO", "SEA", "MIA", "JFK"];
const ROWS = 20; // rows drawn; the view itself may hold more
const LIMIT = 1000;
const LEAVING = 620; // ms that a row takes to leave, as in board.css
const LATE = 15; // minutes from which on a flight counts as delayed
const PROBE_EVERY = 1000;
const RATE_WINDOW = 5000;

const $ = (id) => document.getElementById(id);
const nexxus = new Nexxus({ appId: "demo", name: "departures board" });
let channel = null;
let view = Promise.resolve(); // views follow one another, however fast the controls change

// ---- The view: which flights are shown

function chosen() {
  const conditions = {};
  if ($("airport").value) conditions.origin = $("airport").value;
  if ($("state").value) conditions.status = $("state").value;
  if ($("late").checked) conditions.delay = { gt: LATE };
  const descriptor = { model: "flight", sort: ["scheduled"], limit: LIMIT };
  return Object.keys(conditions).length ? { ...descriptor, filter: conditions } : descriptor;
}

function openView() {
  view = view.then(async () => {
    const descriptor = chosen();
    $("sent").textContent = JSON.stringify({ event: "subscribe", ref: "r1", data: descriptor });
    $("place").textContent = $("airport").selectedOptions[0].textContent;
    const former = channel;
    channel = null;
    if (former) await nexxus.unsubscribe(former).catch(() => {});
    channel = await nexxus.subscribe(descriptor);
    channel.addEventListener("change", scheduleDraw);
    channel.addEventListener("reset", scheduleDraw);
    fresh = true;
    draw();
  }).catch(() => setTimeout(openView, 1000)); // the connection was lost just then
}

// ---- Rows

class Row {
  constructor(flight, { quietly }) {
    this.id = flight.id;
    this.flight = null;
    this.element = document.createElement("tr");
    this.cells = {
      date: new Flaps(6, "date"), time: new Flaps(5, "time"), id: new Flaps(6, "id"),
      from: new Flaps(3, "from"), to: new Flaps(16, "to"), gate: new Flaps(3, "gate"),
      miles: new Flaps(4, "miles"), status: new Flaps(13, "state"),
    };
    this.spoken = {};
    for (const [name, flaps] of Object.entries(this.cells)) {
      const cell = document.createElement(name === "id" ? "th" : "td");
      if (name === "id") cell.scope = "row";
      cell.className = name;
      this.spoken[name] = document.createElement("span");
      this.spoken[name].className = "sr";
      cell.append(this.spoken[name], flaps.element);
      this.element.append(cell);
    }
    this.element.append(this.#button());
    this.element.dataset.id = flight.id;
    if (!quietly) this.element.classList.add("entering");
    this.show(flight, { quietly });
  }

  #button() {
    const cell = document.createElement("td");
    const button = document.createElement("button");
    button.type = "button";
    button.className = "delay";
    button.textContent = "+10";
    button.title = `Delay flight ${this.id} by ten minutes`;
    button.setAttribute("aria-label", button.title);
    button.onclick = () => delayFlight(this.id);
    cell.append(button);
    return cell;
  }

  show(flight, how = {}) {
    if (this.flight?.version === flight.version) return;
    this.flight = flight;
    this.element.dataset.status = flight.status;
    const at = new Date(flight.scheduled * 1000).toISOString();
    const month = new Date(flight.scheduled * 1000)
      .toLocaleString("en", { month: "short", timeZone: "UTC" });
    this.#show("date", `${at.slice(8, 10)} ${month}`, how);
    this.#show("time", at.slice(11, 16), how);
    this.#show("id", flight.id, how);
    this.#show("from", flight.origin, how);
    this.#show("to", `${flight.destination} ${CITIES[flight.destination] ?? ""}`, how);
    this.#show("gate", flight.gate ?? "", how);
    this.#show("miles", String(flight.distance ?? "").padStart(4), how);
    this.#show("status", statusText(flight), how);
  }

  #show(name, text, how) {
    this.cells[name].show(text, how);
    this.spoken[name].textContent = text.trim();
  }

  leave() {
    this.element.classList.remove("entering");
    this.element.classList.add("leaving");
    for (const flaps of Object.values(this.cells)) flaps.show("");
    setTimeout(() => this.element.remove(), LEAVING);
  }
}

function statusText({ status, delay = 0 }) {
  if (status === "departed") return delay > LATE ? `departed ${signed(delay)}` : "departed";
  return delay > 0 ? `${status} ${signed(delay)}` : status;
}

function signed(minutes) {
  return minutes > 0 ? `+${minutes}` : String(minutes);
}

async function delayFlight(id) {
  const later = [
    { op: "incr", path: "delay", value: 10 },
    { op: "replace", path: "status", value: "delayed" },
  ];
  await nexxus.update("flight", id, later).catch((error) => console.warn(error));
}

// ---- Drawing: the rows show the channel's objects, updated at most once per frame

const rows = new Map();
let drawing = 0;
let fresh = true; // the next drawing is of another view: all at once, nothing to look at

function scheduleDraw() {
  // A timer instead of an animation frame, so that a background page also updates its rows.
  drawing ||= setTimeout(draw, 16);
}

function draw() {
  clearTimeout(drawing);
  drawing = 0;
  const flights = channel ? [...channel.objects.values()].sort(bySchedule) : [];
  const shown = flights.slice(0, ROWS);
  const present = new Set(shown.map(({ id }) => id));
  for (const [id, row] of rows) {
    if (present.has(id)) continue;
    rows.delete(id);
    if (fresh) row.element.remove();
    else row.leave();
  }
  let previous = null;
  for (const flight of shown) {
    let row = rows.get(flight.id);
    if (row) row.show(flight);
    else rows.set(flight.id, (row = new Row(flight, { quietly: fresh })));
    place(row.element, previous);
    previous = row.element;
  }
  fresh = channel === null;
  $("count").textContent = flights.length;
  $("empty").hidden = flights.length > 0 || channel === null;
  $("more").hidden = flights.length <= ROWS;
  $("more").textContent = `and ${flights.length - ROWS} more`;
}

/** Put a row behind another, stepping over those that are leaving between them. */
function place(element, previous) {
  let next = previous ? previous.nextElementSibling : $("rows").firstElementChild;
  while (next?.classList.contains("leaving")) next = next.nextElementSibling;
  if (next === element) return;
  $("rows").insertBefore(element, next);
}

function bySchedule(a, b) {
  return a.scheduled - b.scheduled || (a.id < b.id ? -1 : 1);
}

// ---- Meters: events, and the time from a write to its event, by this page's clock

let total = 0;
const arrivals = [];
const latest = [];

nexxus.addEventListener("model", ({ detail }) => {
  if (detail.model.type !== "flight") return;
  total += 1;
  arrivals.push(performance.now());
  latest.unshift(JSON.stringify(detail));
  latest.length = Math.min(latest.length, 6);
});

function measure() {
  const now = performance.now();
  while (arrivals.length && arrivals[0] < now - RATE_WINDOW) arrivals.shift();
  const seconds = Math.min(RATE_WINDOW, now) / 1000;
  $("rate").textContent = (arrivals.length / seconds).toFixed(1);
  $("total").textContent = total.toLocaleString("en");
  if (document.querySelector("details.wire").open) $("received").textContent = latest.join("\n\n");
}

/** Write to an object of its own once a second and wait for the event, through the whole line. */
async function probe() {
  const { id } = await nexxus.create("probe", { beat: 0 });
  const own = await nexxus.subscribe({ model: "probe", id });
  const samples = [];
  let begun = null;
  own.addEventListener("change", ({ detail }) => {
    if (begun === null || !(detail.object?.beat > 0)) return;
    samples.push(performance.now() - begun);
    begun = null;
    if (samples.length > 9) samples.shift();
    const median = samples.toSorted((a, b) => a - b)[samples.length >> 1];
    $("latency").textContent = median.toFixed(median < 10 ? 1 : 0);
  });
  let beat = 0;
  setInterval(() => {
    if (nexxus.status !== "live" || document.hidden) return;
    begun = performance.now();
    const patch = { op: "replace", path: "beat", value: (beat += 1) };
    nexxus.update("probe", id, patch).catch(() => (begun = null));
  }, PROBE_EVERY);
  addEventListener("pagehide", () => nexxus.delete("probe", id).catch(() => {}));
}

// ---- Start

const STATUS = { connecting: "Connecting", live: "Live", closed: "Reconnecting" };

nexxus.addEventListener("status", ({ detail }) => {
  $("status").dataset.status = detail;
  if ($("status").textContent !== STATUS[detail]) $("status").textContent = STATUS[detail];
});

for (const code of AIRPORTS) $("airport").append(new Option(`${CITIES[code]} ${code}`, code));
$("airport").append(new Option("All airports", ""));
const wanted = new URLSearchParams(location.search).get("airport");
if (AIRPORTS.includes(wanted)) $("airport").value = wanted;

document.querySelector("form").onsubmit = (event) => event.preventDefault();
for (const id of ["airport", "state", "late"]) $(id).onchange = openView;
$("airport").addEventListener("change", markFrom);
$("drop").onclick = () => nexxus.drop();

function markFrom() {
  $("board").classList.toggle("everywhere", $("airport").value === "");
}

markFrom();
setInterval(measure, 500);
await nexxus.start();
openView();
await probe();
