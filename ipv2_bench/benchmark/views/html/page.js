"use strict";
// Without this script everything can be read; with it images can be laid over each other, and colours chosen.
const byId = (id) => document.getElementById(id);

const theme = byId("theme");
const prefersDark = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (document.documentElement.dataset.theme || (prefersDark.matches ? "dark" : "light")) === "dark";
const nameTheme = () => { theme.textContent = isDark() ? "Light colours" : "Dark colours"; };
theme.hidden = false;
theme.addEventListener("click", () => {
  document.documentElement.dataset.theme = isDark() ? "light" : "dark";
  nameTheme();
});
prefersDark.addEventListener("change", nameTheme);
nameTheme();

const hints = [...document.querySelectorAll(".sideways")];
const hintAtWidth = () => {
  for (const hint of hints) hint.hidden = hint.nextElementSibling.scrollWidth <= hint.nextElementSibling.clientWidth;
};
hintAtWidth();
addEventListener("resize", hintAtWidth);
document.querySelectorAll("details").forEach((d) => d.addEventListener("toggle", hintAtWidth));

const viewer = byId("viewer");
if (viewer) setUpViewer();  // a page may have no pictures

function setUpViewer() {
  const stage = viewer.querySelector(".stage");
  const cut = byId("cut");
  const sides = ["left", "right"].map((side) => ({
    choice: byId(side),
    image: stage.querySelector(`.${side} img`),
    caption: stage.querySelector(`.${side} figcaption`),
  }));

  function drawCut() {
    const names = sides.map((s) => s.caption.textContent);
    stage.style.setProperty("--cut", `${cut.value}%`);
    cut.setAttribute("aria-valuetext", `${cut.value} percent ${names[0]}, ${100 - cut.value} percent ${names[1]}`);
  }

  function draw() {
    const slice = byId("slice").value;
    for (const side of sides) {
      const shown = byId(`s${slice}i${side.choice.value}`);
      side.image.src = shown.src;
      side.image.alt = shown.alt;
      side.caption.textContent = shown.dataset.title;
    }
    stage.classList.toggle("difference", byId("difference").checked);
    cut.disabled = byId("difference").checked;
    drawCut();
  }

  viewer.classList.add("live");
  viewer.querySelectorAll(".controls").forEach((c) => { c.hidden = false; });
  for (const control of [byId("left"), byId("right"), byId("slice"), byId("difference")]) control.addEventListener("change", draw);
  cut.addEventListener("input", drawCut);
  const follow = (event) => {
    if (!(event.buttons & 1) || cut.disabled) return;
    const box = stage.getBoundingClientRect();
    cut.value = Math.round(Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1) * 100);
    drawCut();
  };
  stage.addEventListener("pointerdown", follow);
  stage.addEventListener("pointermove", follow);
  draw();
}
