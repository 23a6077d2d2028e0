"use strict";
const pairs = [...document.querySelectorAll(".pair.sensitive")];
const all = document.getElementById("reveal");
const pressed = (button) => button.getAttribute("aria-pressed") === "true";
const press = (button, on) => button.setAttribute("aria-pressed", String(on));
for (const pair of pairs) {
  pair.addEventListener("click", () => {
    press(pair, !pressed(pair));
    press(all, pairs.every(pressed));
  });
}
if (all) {
  all.addEventListener("click", () => {
    const on = !pressed(all);
    for (const button of [all, ...pairs]) press(button, on);
  });
}
