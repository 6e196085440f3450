// "Try it out": sends a request with the key of the page and shows the answer. The key is kept nowhere else.
"use strict";

const byId = (id) => document.getElementById(id);

function requestOf(form) {
  let path = form.dataset.path;
  const query = new URLSearchParams();
  for (const input of form.querySelectorAll("[data-in]")) {
    const value = input.value;
    if (input.dataset.in === "path") path = path.replace(`{${input.dataset.name}}`, encodeURIComponent(value));
    else if (value !== "") query.append(input.dataset.name, value);
  }
  const body = form.querySelector("textarea");
  const headers = {};
  if (byId("key").value) headers.Authorization = `Bearer ${byId("key").value.trim()}`;
  if (body) headers["Content-Type"] = "application/json";
  const address = query.size ? `${path}?${query}` : path;
  return [address, { method: form.dataset.method, headers, body: body ? body.value : undefined, credentials: "omit" }];
}

function pretty(text) {
  try { return JSON.stringify(JSON.parse(text), null, 2); } catch { return text; }
}

async function send(form) {
  const [address, options] = requestOf(form);
  const state = form.querySelector("[role=status]");
  const started = performance.now();
  try {
    const answer = await fetch(address, options);
    const text = await answer.text();
    const milliseconds = Math.round(performance.now() - started);
    state.textContent = `${answer.status} ${answer.statusText} in ${milliseconds} ms · ${options.method} ${address}`;
    state.classList.toggle("failed", !answer.ok);
    form.querySelector(".answer").textContent = pretty(text);
  } catch (error) {
    state.textContent = `The request was not answered: ${error.message}.`;
    state.classList.add("failed");
  }
  form.querySelector(".result").hidden = false;
}

for (const form of document.querySelectorAll("form.try")) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send(form);
  });
  form.querySelector("button").disabled = false;
}
