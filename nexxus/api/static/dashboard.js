"use strict";

// The dashboard: calls /admin/* with the admin key, and subscribes to a model over one WebSocket,
// like any device. Content from the server is inserted as text, never as HTML.

const $ = (id) => document.getElementById(id);
const root = document.baseURI;
const PAGE = 100;
const SHOWN = 500;

let key = sessionStorage.getItem("nexxus-admin-key") || "";
let current = null;
let stopWatching = () => {};

const element = (name, attributes = {}, ...children) => {
  const made = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  made.append(...children);
  return made;
};

async function call(method, path, { headers = {}, body } = {}) {
  const response = await fetch(new URL(path, root), {
    method,
    headers: { "Content-Type": "application/json", ...headers },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const answer = await response.json();
  if (!response.ok) throw Object.assign(new Error(answer.message), { status: response.status });
  return answer;
}

const admin = (method, path, body) =>
  call(method, `admin/${path}`, { headers: { Authorization: `Bearer ${key}` }, body });

// Entering the admin key

async function enter() {
  try {
    const { data } = await admin("GET", "applications");
    sessionStorage.setItem("nexxus-admin-key", key);
    $("refusal").textContent = "";
    $("door").hidden = true;
    $("inside").hidden = $("leave").hidden = false;
    showApplications(data.items);
  } catch (error) {
    $("refusal").textContent = error.message;
  }
}

function leave() {
  stopWatching();
  sessionStorage.removeItem("nexxus-admin-key");
  key = $("key").value = "";
  current = null;
  $("door").hidden = false;
  $("inside").hidden = $("leave").hidden = $("application").hidden = true;
  $("hint").hidden = false;
}

// Applications and users

function showApplications(applications) {
  $("applications").replaceChildren(...applications.map((application) => {
    const choose = element("button", { type: "button" }, application.name || application.id);
    choose.addEventListener("click", () => {
      for (const other of $("applications").querySelectorAll("button")) other.removeAttribute("aria-current");
      choose.setAttribute("aria-current", "true");
      showApplication(application);
    });
    return element("li", {}, choose);
  }));
  if (!applications.length) $("hint").textContent = "There are no applications; create one with nexxus app create";
}

function showApplication(application) {
  stopWatching();
  current = application;
  const models = Object.keys(application.schema || {});
  $("hint").hidden = true;
  $("application").hidden = false;
  $("title").textContent = application.name || application.id;
  $("facts").textContent = `${application.id} · ${models.length} ${models.length === 1 ? "model" : "models"} · ${application.auth ? "with users" : "without users"}`;
  $("document").textContent = JSON.stringify(application, null, 2);
  $("model").replaceChildren(...models.map((model) => element("option", {}, model)));
  $("username").hidden = $("password").hidden = !application.auth;
  $("people").hidden = !application.auth;
  $("objects").replaceChildren();
  $("live").className = "quiet";
  $("live").textContent = application.auth ? "Sign in as a user of the application to see what that user sees." : "";
  $("users").replaceChildren();
  if (application.auth) showUsers(0).catch(report);
}

async function showUsers(offset) {
  const application = current;
  const { data } = await admin("GET", `applications/${application.id}/users?limit=${PAGE}&offset=${offset}`);
  if (application !== current) return;
  if (offset === 0) $("users").append(heading(["User name", "Type", "Sign-in", "Id", ""]));
  for (const user of data.items) $("users").append(userRow(application, user));
  $("more").hidden = data.items.length < PAGE;
  $("more").onclick = () => showUsers(offset + PAGE).catch(report);
}

function userRow(application, user) {
  const toggle = element("button", { type: "button" });
  const row = element("tr", {},
    element("td", {}, user.username), element("td", {}, user.userType),
    element("td", {}, user.authProviders.join(", ")), element("td", { class: "mono" }, user.id),
    element("td", {}, toggle));
  const label = () => { toggle.textContent = user.disabled ? "Enable" : "Disable"; };
  toggle.addEventListener("click", async () => {
    try {
      const path = `applications/${application.id}/users/${user.id}`;
      user = (await admin("PUT", path, { disabled: !user.disabled })).data;
      label();
    } catch (error) { report(error); }
  });
  label();
  return row;
}

const heading = (names) => element("tr", {}, ...names.map((name) => element("th", {}, name)));

function report(error) {
  $("live").textContent = error.message;
  $("live").className = "bad";
}

// The live view: subscribes, and keeps a copy up to date by versions

async function session(application) {
  const headers = { "nxx-app-id": application.id };
  if (!application.auth) return call("POST", "device/register", { headers, body: { name: "dashboard" } });
  const body = { username: $("username").value, password: $("password").value, device: { name: "dashboard" } };
  return call("POST", "auth/local", { headers, body });
}

async function watch() {
  stopWatching();
  $("live").className = "quiet";
  $("live").textContent = "Connecting…";
  const application = current;
  const model = $("model").value;
  const descriptor = { model, limit: application.maxLimit || 100 };
  if ($("filter").value.trim()) descriptor.filter = JSON.parse($("filter").value);
  const { token } = await session(application);
  const url = new URL("ws", root);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(url);
  const copies = new Map();
  const early = [];
  let channel = null;
  const send = (frame) => socket.send(JSON.stringify(frame));
  const subscribe = () => send({ event: "subscribe", ref: "page", data: descriptor });
  stopWatching = () => { socket.onclose = null; socket.close(); stopWatching = () => {}; };

  const take = (frame) => {
    const { model: told, metadata } = frame.data;
    if (!metadata.channels.includes(channel)) return;
    const copy = copies.get(told.id);
    if (frame.event === "model_deleted") {
      if (frame.data.reason !== "denied" && copy && told.version <= copy.version) return;
      copies.delete(told.id);
    } else if (copy && told.version !== undefined && told.version <= copy.version) {
      return;
    } else if (frame.event === "model_created") {
      copies.set(told.id, told);
    } else if (copy && told.version === copy.version + 1) {
      copies.set(told.id, { ...patched(copy, frame.data.patches), version: told.version });
    } else {
      return subscribe();
    }
    draw(copies, told.id);
  };

  socket.onopen = () => send({ event: "register", data: { token } });
  socket.onclose = ({ code, reason }) => report(new Error(`The connection was closed (${code} ${reason}).`));
  socket.onmessage = ({ data }) => {
    const frame = JSON.parse(data);
    if (frame.event === "register" || frame.event === "resync") return subscribe();
    if (frame.event === "unsubscribed") return report(new Error(frame.data.message));
    if (frame.event === "error") return report(new Error(frame.data.message));
    if (frame.event === "reply") {
      if (frame.data.error) return report(new Error(frame.data.error.message));
      channel = frame.data.data.channelId;
      copies.clear();
      for (const object of frame.data.data.items) copies.set(object.id, object);
      for (const event of early.splice(0)) take(event);
      $("live").className = "good";
      $("live").textContent = `Subscribed to ${channel}`;
      return draw(copies, null);
    }
    if (!frame.data?.metadata) return undefined;
    return channel === null ? void early.push(frame) : take(frame);
  };
}

function patched(object, patches) {
  const copy = structuredClone(object);
  for (const patch of patches) {
    const values = Array.isArray(patch.path) ? patch.value : [patch.value];
    [patch.path].flat().forEach((path, index) => applyOne(copy, patch.op, path.split("."), values?.[index]));
  }
  return copy;
}

function applyOne(object, op, path, value) {
  const last = path[path.length - 1];
  const parent = path.slice(0, -1).reduce((node, name) => (node[name] ??= {}), object);
  const before = parent[last];
  if (op === "replace") parent[last] = value;
  else if (op === "remove") delete parent[last];
  else if (op === "incr") parent[last] = before + value;
  else if (op === "decr") parent[last] = before - value;
  else if (typeof before === "string") parent[last] = op === "append" ? before + value : value + before;
  else parent[last] = op === "append" ? [...before, ...[value].flat()] : [...[value].flat(), ...before];
}

function draw(copies, changed) {
  const fields = Object.keys(current.schema[$("model").value]?.fields || current.schema[$("model").value] || {});
  const columns = ["id", "version", ...fields];
  const rows = [...copies.values()].slice(-SHOWN).reverse().map((object) => element(
    "tr", object.id === changed ? { class: "changed" } : {},
    ...columns.map((name) => element("td", { class: "mono" }, cell(object[name])))));
  $("objects").replaceChildren(heading(columns), ...rows);
}

const cell = (value) => (value === undefined ? "" : typeof value === "string" ? value : JSON.stringify(value));

$("enter").addEventListener("submit", (event) => { event.preventDefault(); key = $("key").value.trim(); enter(); });
$("watch").addEventListener("submit", (event) => { event.preventDefault(); watch().catch(report); });
$("leave").addEventListener("click", leave);
if (key) enter();
