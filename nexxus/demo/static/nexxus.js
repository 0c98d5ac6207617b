/**
 * A small Nexxus client for browsers, in one file and without dependencies.
 *
 *   const nexxus = new Nexxus({ appId: "demo" });
 *   await nexxus.start();
 *   const flights = await nexxus.subscribe({ model: "flight", filter: { origin: "ORD" } });
 *   flights.addEventListener("change", () => console.log([...flights.objects.values()]));
 *   await nexxus.update("flight", "NX1000", { op: "incr", path: "delay", value: 10 });
 *
 * A `Channel` converges: it has the first page and then applies the events, version by version. If an
 * event cannot be applied, it reads the object again through the channel. After a lost connection the
 * client resumes where it was; channels that the server no longer remembers are read again.
 */

const RETRY_FIRST = 300; // ms; doubled with every failed attempt, up to:
const RETRY_LAST = 8_000;
const REPLY_TIMEOUT = 15_000;
const GONE_KEPT = 5_000; // versions of removed objects that a channel remembers

/** An error from the server, with the wire's `name`, `status` and `details`. */
export class NexxusError extends Error {
  constructor({ status, error, message, details }) {
    super(message);
    Object.assign(this, { name: error, status, details });
  }
}

/**
 * One device's connection. Events: `status` (detail: "connecting", "live" or "closed"), `model` (every
 * model event, as on the wire), `rejected` (an operation was accepted but then rejected), `session`
 * (new tokens), `signedout` (the user's session ended; the client no longer reconnects).
 */
export class Nexxus extends EventTarget {
  #socket = null;
  #refs = 0;
  #waiting = new Map(); // ref → {resolve, reject, timer}
  #channels = new Map(); // channel id → Channel
  #early = []; // events of channels whose subscribe reply has not arrived yet
  #subscribing = 0;
  #cursor = null;
  #attempts = 0;
  #stopped = false;
  #live = null; // a promise that the next "live" resolves
  #refreshTimer = 0;

  /** `session` is the response to a sign-in; without one, `start` registers an anonymous device. */
  constructor({ appId, url = location.origin, socketUrl, name = "browser", session = null }) {
    super();
    this.appId = appId;
    this.url = url;
    this.socketUrl = socketUrl ?? `${url.replace(/^http/, "ws")}/ws`;
    this.name = name;
    this.session = session;
    this.anonymous = session === null;
    this.status = "closed";
  }

  /** Get a session, connect, and return once the connection is live. */
  async start() {
    this.#stopped = false;
    this.#expectLive();
    this.#connect();
    await this.#live.promise;
  }

  stop() {
    this.#stopped = true;
    clearTimeout(this.#refreshTimer);
    this.#socket?.close(1000);
  }

  /** Drop the connection on purpose, to see the client reconnect. */
  drop() {
    this.#socket?.close(3000);
  }

  // ---- HTTP

  async request(method, path, body) {
    const headers = { "nxx-app-id": this.appId, "content-type": "application/json" };
    if (this.session) headers.authorization = `Bearer ${this.session.token}`;
    const options = { method, headers, body: body && JSON.stringify(body) };
    const response = await fetch(this.url + path, options);
    const answer = await response.json();
    if (!response.ok) throw new NexxusError({ status: response.status, ...answer });
    return answer;
  }

  // ---- Frames with a reply

  create(type, fields) {
    return this.call("create", { type, ...fields });
  }

  update(type, id, patch) {
    return this.call("update", { type, id, patch });
  }

  delete(type, id) {
    return this.call("delete", { type, id });
  }

  /** Subscribe to the channel of `descriptor` ({model, id?, userId?, filter?, limit?, sort?}). */
  async subscribe(descriptor) {
    const channel = new Channel(this, descriptor);
    await this.#fill(channel);
    return channel;
  }

  async unsubscribe(channel) {
    this.#channels.delete(channel.id);
    const { limit, offset, sort, ...descriptor } = channel.descriptor;
    await this.call("unsubscribe", descriptor);
  }

  /** Send a frame and wait for the reply's data; rejects with a `NexxusError`. */
  call(event, data) {
    const ref = `r${++this.#refs}`;
    return new Promise((resolve, reject) => {
      const fail = (message) => {
        this.#waiting.delete(ref);
        reject(new NexxusError({ status: 0, error: "ConnectionLost", message }));
      };
      if (this.#socket?.readyState !== WebSocket.OPEN) return fail("not connected");
      const timer = setTimeout(() => fail("no reply"), REPLY_TIMEOUT);
      this.#waiting.set(ref, { resolve, reject, timer, fail });
      this.#send({ event, ref, data });
    });
  }

  // ---- The connection

  async #connect() {
    this.#setStatus("connecting");
    try {
      await this.#ensureSession();
    } catch {
      return this.#retry(); // the server is unavailable
    }
    if (this.#stopped) return;
    const socket = new WebSocket(this.socketUrl, "nexxus.v1.json");
    this.#socket = socket;
    socket.onopen = () => this.#send({ event: "register", data: { token: this.session.token } });
    socket.onmessage = ({ data }) => this.#receive(JSON.parse(data));
    socket.onclose = ({ code }) => socket === this.#socket && this.#closed(code);
  }

  async #ensureSession() {
    if (this.session && secondsLeft(this.session.token) > 30) return;
    if (this.session?.refreshToken) {
      try {
        return await this.#refresh();
      } catch (error) {
        if (!(error instanceof NexxusError && error.status === 401)) throw error;
        if (!this.anonymous) return this.#signedOut();
      }
    }
    this.session = null;
    this.session = await this.request("POST", "/device/register", { name: this.name });
    this.#cursor = null; // a cursor belongs to its device
  }

  async #refresh() {
    const { refreshToken } = this.session;
    const tokens = await this.request("POST", "/auth/refresh", { refreshToken });
    this.session = { ...this.session, ...tokens };
    this.dispatchEvent(new CustomEvent("session", { detail: this.session }));
  }

  #closed(code) {
    this.#setStatus("closed");
    clearTimeout(this.#refreshTimer);
    for (const { timer, fail } of [...this.#waiting.values()]) {
      clearTimeout(timer);
      fail("the connection was lost");
    }
    if (code === 4001 || code === 4003) {
      // Logged out, or replaced by another connection of the device: the session is no longer ours.
      if (!this.anonymous) return this.#signedOut();
      this.session = null;
    }
    this.#retry();
  }

  #signedOut() {
    this.stop();
    this.dispatchEvent(new CustomEvent("signedout"));
  }

  #retry() {
    if (this.#stopped) return;
    const pause = Math.min(RETRY_FIRST * 2 ** this.#attempts++, RETRY_LAST);
    setTimeout(() => this.#connect(), pause * (0.5 + Math.random() / 2));
  }

  #receive({ event, ref, data }) {
    switch (event) {
      case "reply":
        return this.#settle(ref, data);
      case "register":
        return this.#registered(data);
      case "resume":
        this.#cursor = data.cursor;
        this.#becomeLive();
        return this.#finish();
      case "resync":
        return this.#resync(data);
      case "unsubscribed":
        return this.#end(data);
      case "error":
        return this.#reportError(data);
      case "model_created":
      case "model_updated":
      case "model_deleted":
        return this.#deliver(data);
    }
  }

  #registered({ cursor }) {
    this.#attempts = 0;
    const half = Math.max(secondsLeft(this.session.token) / 2, 5);
    this.#refreshTimer = setTimeout(() => this.#renew(), half * 1000);
    if (this.#cursor !== null) return this.#send({ event: "resume", data: { cursor: this.#cursor } });
    this.#cursor = cursor ?? null;
    this.#refill([...this.#channels.values()]);
    this.#becomeLive();
  }

  #resync({ channels, cursor }) {
    this.#cursor = cursor;
    const resumed = this.status !== "live";
    // After a failed resume, channels that are not named have ended too: subscribe to all again.
    const stale = [...this.#channels.values()].filter(({ id }) => resumed || channels.includes(id));
    this.#refill(stale);
    if (resumed) this.#becomeLive();
  }

  /** The application's schema or roles have changed so that these channels ended. */
  #end({ channels, error, message }) {
    for (const id of channels) {
      this.#channels.get(id)?.fail(new NexxusError({ status: 0, error, message }));
      this.#channels.delete(id);
    }
  }

  async #renew() {
    try {
      await this.#refresh();
      this.#send({ event: "refresh_access_token", data: { token: this.session.token } });
      const half = Math.max(secondsLeft(this.session.token) / 2, 5);
      this.#refreshTimer = setTimeout(() => this.#renew(), half * 1000);
    } catch {
      this.#socket?.close(3000); // reconnecting gets a new session, or retries
    }
  }

  #reportError(error) {
    if (error.code === "OPERATION_REJECTED") {
      return this.dispatchEvent(new CustomEvent("rejected", { detail: error }));
    }
    console.warn("nexxus:", error.code, error.message);
    if (["SESSION_ENDED", "DEVICE_NOT_FOUND", "TOKEN_EXPIRED"].includes(error.code)) {
      if (this.anonymous) this.session = null;
      this.#socket?.close(3000);
    }
  }

  #settle(ref, { status, data, error }) {
    const waiting = this.#waiting.get(ref);
    if (!waiting) return;
    this.#waiting.delete(ref);
    clearTimeout(waiting.timer);
    if (error) waiting.reject(new NexxusError({ status, ...error }));
    else waiting.resolve(data);
  }

  #send(frame) {
    this.#socket.send(JSON.stringify(frame));
  }

  #expectLive() {
    this.#live = {};
    this.#live.promise = new Promise((resolve) => (this.#live.resolve = resolve));
  }

  #becomeLive() {
    this.#setStatus("live");
    this.#live?.resolve();
  }

  #setStatus(status) {
    this.status = status;
    this.dispatchEvent(new CustomEvent("status", { detail: status }));
  }

  // ---- From events to channels

  /**
   * Subscribe and load the page. Events that arrive for the channel meanwhile are applied afterwards.
   *
   * If two calls overlap, only the later one counts: its page includes everything before its request.
   */
  async #fill(channel) {
    channel.loading = true;
    const fill = ++channel.fills;
    this.#early = this.#early.filter(({ to }) => to !== channel.id);
    this.#subscribing += 1;
    try {
      const { channelId, items } = await this.call("subscribe", channel.descriptor);
      channel.id = channelId;
      if (fill !== channel.fills) return;
      channel.loading = false;
      this.#channels.set(channelId, channel);
      channel.load(items);
      for (const event of this.#early.filter((early) => early.to === channelId)) {
        channel.apply(event.data);
      }
      this.#early = this.#early.filter((early) => early.to !== channelId);
    } finally {
      this.#subscribing -= 1;
      if (this.#subscribing === 0) this.#early = [];
    }
  }

  #refill(channels) {
    // If the connection is lost again during a fill, the next connection repeats it.
    for (const channel of channels) this.#fill(channel).catch((error) => channel.fail(error));
  }

  /** After a resume, finish what the lost connection interrupted. */
  #finish() {
    const channels = [...this.#channels.values()];
    this.#refill(channels.filter(({ loading }) => loading));
    for (const channel of channels) channel.readAgain();
  }

  #deliver(data) {
    this.#cursor = data.metadata.cursor ?? this.#cursor;
    this.dispatchEvent(new CustomEvent("model", { detail: data }));
    for (const to of data.metadata.channels) {
      const channel = this.#channels.get(to);
      if (channel && !channel.loading) channel.apply(data);
      else if (this.#subscribing > 0) this.#early.push({ to, data });
    }
  }
}

/**
 * A live view of its query: `objects` by id. Events: `change` (detail: {id, object, reason}; `object`
 * is undefined if it is gone), `reset` (a new page was loaded), `failed` (detail: the error).
 */
export class Channel extends EventTarget {
  #client;
  #gone = new Map(); // id → version at which an object left
  #reading = new Map(); // id → whether a newer event arrived while it is being read
  #unread = new Set(); // ids whose read was interrupted by a lost connection

  constructor(client, descriptor) {
    super();
    this.#client = client;
    this.descriptor = descriptor;
    this.id = null;
    this.loading = false;
    this.fills = 0;
    this.objects = new Map();
  }

  /** Replace the view with a new page. */
  load(items) {
    this.#gone.clear();
    this.#unread.clear();
    this.objects = new Map(items.map((object) => [object.id, object]));
    this.dispatchEvent(new CustomEvent("reset"));
  }

  fail(error) {
    this.dispatchEvent(new CustomEvent("failed", { detail: error }));
  }

  /** Handle one event: apply it, ignore it, or read the object again. */
  apply({ event, model, patches, reason }) {
    const { id, version } = model;
    if (version === undefined) return this.#notify(id, model, "transient");
    const known = this.objects.get(id)?.version ?? this.#gone.get(id) ?? 0;
    if (reason === "denied") return this.#remove(id, Math.max(version, known), reason);
    if (version <= known) return;
    if (event === "model_created") this.#put(model);
    else if (event === "model_deleted") this.#remove(id, version, reason);
    else if (this.objects.has(id) && version === known + 1) {
      this.#put({ ...patched(this.objects.get(id), patches), version });
    } else this.#read(id);
  }

  /** Repeat the reads that a lost connection interrupted. */
  readAgain() {
    const ids = [...this.#unread];
    this.#unread.clear();
    for (const id of ids) this.#read(id);
  }

  #put(object) {
    this.#gone.delete(object.id);
    this.objects.set(object.id, object);
    this.#notify(object.id, object);
  }

  #remove(id, version, reason) {
    this.#gone.set(id, version);
    if (this.#gone.size > GONE_KEPT) this.#gone.delete(this.#gone.keys().next().value);
    if (this.objects.delete(id)) this.#notify(id, undefined, reason);
  }

  #notify(id, object, reason) {
    this.dispatchEvent(new CustomEvent("change", { detail: { id, object, reason } }));
  }

  /** Read an object through the channel; an empty result means that it is not in the view. */
  async #read(id) {
    if (this.#reading.has(id)) return this.#reading.set(id, true);
    const { limit, offset, sort, ...descriptor } = this.descriptor;
    const filter = { $and: [descriptor.filter ?? {}, { id }] };
    try {
      do {
        this.#reading.set(id, false);
        const before = this.objects.get(id)?.version;
        const query = { ...descriptor, filter, getOnly: true };
        const { items } = await this.#client.call("subscribe", query);
        const present = this.objects.get(id)?.version;
        if (items.length > 0 && items[0].version > (present ?? this.#gone.get(id) ?? 0)) {
          this.#put(items[0]);
        } else if (items.length === 0 && present !== undefined && present === before) {
          this.#remove(id, present, "left");
        }
      } while (this.#reading.get(id));
    } catch {
      this.#unread.add(id);
    } finally {
      this.#reading.delete(id);
    }
  }
}

/** Return a copy of `object` with the patches of a `model_updated` applied. */
export function patched(object, patches) {
  const copy = structuredClone(object);
  for (const { op, path, value } of patches) {
    const paths = Array.isArray(path) ? path : [path];
    const values = Array.isArray(path) ? value : [value];
    paths.forEach((dotted, i) => change(copy, op, dotted.split("."), values?.[i]));
  }
  return copy;
}

function change(node, op, parts, value) {
  const name = parts.at(-1);
  for (const part of parts.slice(0, -1)) node = node[part] ??= {};
  const old = node[name];
  const joined = (a, b) => (typeof old === "string" ? a + b : [].concat(a, b));
  if (op === "replace") node[name] = value;
  else if (op === "append") node[name] = joined(old, value);
  else if (op === "prepend") node[name] = joined(value, old);
  else if (op === "incr") node[name] = old + value;
  else if (op === "decr") node[name] = old - value;
  else if (op === "remove") delete node[name];
}

/** Return the seconds until an access token expires, according to its claim. */
function secondsLeft(token) {
  const claims = token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/");
  return JSON.parse(atob(claims)).exp - Date.now() / 1000;
}
