"use strict";

// Renders /openapi.json and /asyncapi.json. Their content is inserted as text, never as HTML.

const element = (name, attributes = {}, ...children) => {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
};

const nameOf = (reference) => reference.split("/").pop();

const follow = (api, schema) =>
  schema && schema.$ref ? api.components.schemas[nameOf(schema.$ref)] : schema;

function typeOf(schema) {
  if (!schema || Object.keys(schema).length === 0) return "anything";
  if (schema.$ref) return nameOf(schema.$ref);
  if (schema.anyOf) return schema.anyOf.map(typeOf).join(" | ");
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if ("const" in schema) return JSON.stringify(schema.const);
  if (schema.type === "array") return `${typeOf(schema.items)}[]`;
  return schema.type || "anything";
}

function propertiesOf(api, schema) {
  const found = follow(api, schema);
  if (!found || !found.properties) {
    return element("p", { class: "quiet" }, found?.description || typeOf(schema));
  }
  const rows = Object.entries(found.properties).map(([name, property]) =>
    element(
      "tr",
      {},
      element("td", { class: "mono" }, name + ((found.required || []).includes(name) ? "" : "?")),
      element("td", { class: "mono" }, typeOf(property)),
      element("td", { class: "quiet" }, property.description || property.anyOf?.[0]?.description || "")
    )
  );
  const described = found.description ? [element("p", { class: "quiet" }, found.description)] : [];
  return element("div", {}, ...described, element("div", { class: "scroll" }, element("table", {}, ...rows)));
}

const contentOf = (holder) => holder?.content?.["application/json"]?.schema;

function operationOf(api, path, method, operation) {
  const body = element("div");
  if (operation.security?.some((each) => each.adminKey)) {
    body.append(element("p", {}, "Needs the admin key: Authorization: Bearer <key>."));
  } else if (operation.security) {
    const always = operation.security.every((each) => each.token);
    body.append(element("p", {}, always
      ? "Needs an access token."
      : "Needs an access token if the application has users."));
  }
  if (operation.parameters.length) {
    body.append(element("h3", {}, "Parameters"), element("div", { class: "scroll" }, element(
      "table", {}, ...operation.parameters.map((parameter) => element(
        "tr", {},
        element("td", { class: "mono" }, parameter.name + (parameter.required ? "" : "?")),
        element("td", { class: "quiet" }, parameter.in),
        element("td", { class: "mono" }, typeOf(parameter.schema)),
        element("td", { class: "quiet" }, parameter.description || ""))))));
  }
  const sent = contentOf(operation.requestBody);
  if (sent) body.append(element("h3", {}, "Body"), propertiesOf(api, sent));
  body.append(element("h3", {}, "Answers"));
  for (const [status, response] of Object.entries(operation.responses)) {
    body.append(element("p", {}, element("code", {}, status), ` ${response.description}`));
    const schema = contentOf(response);
    if (schema && status < 400) body.append(propertiesOf(api, schema));
  }
  const errors = Object.entries(operation.responses).filter(([status]) => status >= 400);
  const summary = element(
    "summary", {},
    element("span", { class: `method ${method}` }, method.toUpperCase()),
    element("span", { class: "mono" }, path),
    element("span", { class: "quiet" }, operation.summary || "")
  );
  const found = element("details", { id: operation.operationId }, summary, body);
  found.dataset.words = [path, method, operation.summary, ...operation.tags,
    ...errors.map(([status, response]) => `${status} ${response.description}`)].join(" ").toLowerCase();
  return found;
}

function messagesOf(api) {
  return Object.entries(api.components.messages).map(([name, message]) => element(
    "details", {},
    element("summary", {},
      element("span", { class: "mono" }, message.name || name),
      element("span", { class: "quiet" }, message.summary || "")),
    element("div", {}, propertiesOf(api, follow(api, message.payload)?.properties?.data || message.payload))));
}

async function load(url) {
  const response = await fetch(url, { headers: { Accept: "application/json" } });
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  return response.json();
}

async function show() {
  const routes = document.getElementById("routes");
  const api = await load("openapi.json");
  for (const { name } of api.tags) {
    const panel = element("section", { class: "panel" }, element("h2", {}, name));
    for (const [path, methods] of Object.entries(api.paths)) {
      for (const [method, operation] of Object.entries(methods)) {
        if (operation.tags.includes(name)) panel.append(operationOf(api, path, method, operation));
      }
    }
    routes.append(panel);
  }
  document.getElementById("search").addEventListener("input", ({ target }) => {
    const wanted = target.value.trim().toLowerCase();
    for (const route of routes.querySelectorAll("details")) route.hidden = !route.dataset.words.includes(wanted);
    for (const panel of routes.children) panel.hidden = !panel.querySelector("details:not([hidden])");
  });
  document.getElementById("messages").append(...messagesOf(await load("asyncapi.json")));
  document.getElementById("frames").hidden = false;
  document.getElementById("state").hidden = true;
}

show().catch((error) => {
  const state = document.getElementById("state");
  state.textContent = `The description could not be loaded: ${error.message}`;
  state.className = "bad";
});
