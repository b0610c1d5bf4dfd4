"use strict";
const german = {
  title: "Passwort festlegen",
  code: "Der Code auf deinem Zettel",
  password: "Ein neues Passwort",
  again: "Dasselbe Passwort noch einmal",
  send: "Passwort festlegen",
  done: "Fertig. Melde dich mit einer beliebigen Matrix-App an. Dein Benutzername ist:",
  differ: "Die beiden Passwörter sind verschieden.",
  M_WEAK_PASSWORD: "Das Passwort ist zu kurz.",
  M_INVALID_PARAM: "Der Code ist nicht richtig abgeschrieben.",
  M_FORBIDDEN: "Der Code gilt nicht (mehr). Bitte die Schule um einen neuen.",
  M_LIMIT_EXCEEDED: "Zu viele Versuche. Bitte warte etwas.",
  unreachable: "Der Server ist nicht erreichbar.",
};
const english = {
  differ: "The two passwords differ.",
  unreachable: "The server cannot be reached.",
};
const words = navigator.language.startsWith("de") ? german : english;
const find = (id) => document.getElementById(id);
if (words === german) {
  document.documentElement.lang = "de";
}
for (const element of document.querySelectorAll("[data-text]")) {
  element.textContent = words[element.dataset.text] ?? element.textContent;
}
if (location.hash.length > 1) {
  find("code").value = decodeURIComponent(location.hash.slice(1));
  // The code stays neither in the address bar nor in the history.
  history.replaceState(null, "", location.pathname);
}
find("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const [code, password] = [find("code").value, find("password").value];
  const problem = find("problem");
  const button = event.target.querySelector("button");
  problem.textContent = "";
  if (password !== find("again").value) {
    problem.textContent = words.differ;
    return;
  }
  button.disabled = true;
  try {
    const response = await fetch("v1/activate", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ code, password }),
    });
    const answer = await response.json();
    if (response.ok) {
      find("form").hidden = true;
      find("user").textContent = answer.user_id;
      find("done").hidden = false;
    } else {
      problem.textContent = words[answer.errcode] ?? answer.error;
    }
  } catch {
    problem.textContent = words.unreachable;
  }
  button.disabled = false;
});
