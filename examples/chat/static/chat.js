/** A chat in one page: two channels per room, one of them transient. */

import { Nexxus } from "/nexxus.js";

const URL = `${location.origin}/sync`;
const TYPING_FOR = 3000; // ms for which a user counts as typing
const $ = (id) => document.getElementById(id);

let nexxus, user, messages, typing;
const typists = new Map(); // user → time of the last typing event

// ---- Signing in

$("sign-in").onsubmit = async (event) => {
  event.preventDefault();
  const credentials = { username: $("username").value, password: $("password").value };
  const entrance = new Nexxus({ appId: "chat", url: URL });
  try {
    const session = await entrance.request("POST", "/user/register", credentials).catch((error) => {
      if (error.name !== "UserAlreadyExistsException") throw error;
      return entrance.request("POST", "/auth/local", credentials);
    });
    await begin(session);
  } catch (error) {
    $("problem").textContent = error.message;
  }
};

async function begin(session) {
  user = session.user;
  nexxus = new Nexxus({ appId: "chat", url: URL, session });
  nexxus.addEventListener("status", ({ detail }) => ($("status").textContent = detail));
  nexxus.addEventListener("signedout", () => location.reload());
  await nexxus.start();
  await enter($("room").value);
  $("sign-in").hidden = true;
  $("chat").hidden = false;
  $("text").focus();
}

// ---- A room is a filter

async function enter(room) {
  for (const channel of [messages, typing]) if (channel) await nexxus.unsubscribe(channel);
  typists.clear();
  const filter = { room };
  messages = await nexxus.subscribe({ model: "message", filter, sort: ["-createdAt"], limit: 50 });
  messages.addEventListener("change", draw);
  messages.addEventListener("reset", draw);
  typing = await nexxus.subscribe({ model: "typing", filter });
  typing.addEventListener("change", ({ detail }) => {
    if (detail.object.userId !== user.id) typists.set(detail.object.author, Date.now());
    drawTypists();
  });
  draw();
}

$("room").onchange = () => enter($("room").value);

// ---- Sending a message

$("say").onsubmit = async (event) => {
  event.preventDefault();
  const text = $("text").value;
  $("text").value = "";
  await nexxus.create("message", { room: $("room").value, author: user.username, text });
};

let told = 0;
$("text").oninput = () => {
  if (Date.now() - told < TYPING_FOR / 2) return;
  told = Date.now();
  nexxus.create("typing", { room: $("room").value, author: user.username }).catch(() => {});
};

// ---- Drawing

function draw() {
  const all = [...messages.objects.values()].sort(
    (a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1), // ids sort by time
  );
  $("messages").replaceChildren(...all.map(line));
  $("messages").lastElementChild?.scrollIntoView();
  if (all.length) typists.delete(all.at(-1).author);
  drawTypists();
}

function line(message) {
  const item = document.createElement("li");
  const head = document.createElement("small");
  head.textContent = message.author;
  item.append(head, message.text);
  if (message.userId === user.id) {
    item.className = "own";
    const button = document.createElement("button");
    button.textContent = "delete";
    button.onclick = () => nexxus.delete("message", message.id);
    item.append(button);
  }
  return item;
}

function drawTypists() {
  for (const [who, when] of typists) if (Date.now() - when > TYPING_FOR) typists.delete(who);
  const names = [...typists.keys()];
  $("typing").textContent = names.length ? `${names.join(", ")} ${names.length > 1 ? "are" : "is"} typing…` : "";
}

setInterval(drawTypists, 1000);
