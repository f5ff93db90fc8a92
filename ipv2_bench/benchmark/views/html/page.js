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

// Columns sort by a click on their headings; rows stay in their groups, and what has no number comes last.
const numberIn = (cell) => Number(cell?.querySelector("data")?.value ?? (/^-?[\d.]+$/.test(cell?.textContent ?? "") ? cell.textContent : NaN));
for (const table of document.querySelectorAll("table")) {
  const spans = table.querySelectorAll("thead th[rowspan]").length;
  const heads = [...table.querySelectorAll("thead tr:last-child th[scope=col]")];
  for (const [i, head] of heads.entries()) {
    const column = i + spans;
    head.tabIndex = 0;
    head.classList.add("sorts");
    const sort = () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      heads.forEach((h) => h.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const compare = (a, b) => {
        const [x, y] = [a, b].map((row) => numberIn(row.cells[column]));
        if (Number.isNaN(x) && Number.isNaN(y)) return a.cells[column].textContent.localeCompare(b.cells[column].textContent) * (up ? 1 : -1);
        if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) ? 1 : -1;
        return up ? x - y : y - x;
      };
      for (const body of table.tBodies) body.append(...[...body.rows].filter((row) => row.cells.length > column).sort(compare));
    };
    head.addEventListener("click", sort);
    head.addEventListener("keydown", (event) => { if (event.key === "Enter") sort(); });
  }
}

const ranked = document.querySelector(".ranked");
if (ranked) setUpRanking();

function setUpRanking() {
  const rows = [...ranked.querySelectorAll("tbody tr")];
  const heads = [...ranked.querySelectorAll("thead th")];
  const words = byId("filter");
  const show = () => {
    const wanted = words.value.toLowerCase();
    for (const row of rows) {
      const name = row.cells[1].textContent.toLowerCase();
      row.hidden = !name.includes(wanted) || (row.classList.contains("bound") && !byId("bounds").checked);
    }
  };
  words.addEventListener("input", show);
  byId("bounds").addEventListener("change", show);
  ranked.querySelector(".controls").hidden = false;

  // What is shown, in its order.
  const records = () => [...ranked.querySelectorAll("tbody tr")].filter((row) => !row.hidden).map((row) => {
    const record = { rank: row.cells[0].textContent || null, name: row.cells[1].querySelector(".name")?.textContent ?? row.cells[1].textContent };
    heads.slice(2).forEach((head, i) => {
      const cell = row.cells[i + 2];
      const value = cell.querySelector("data")?.value;
      record[head.dataset.key] = value === undefined ? null : Number(value);
      if (cell.dataset.low) Object.assign(record, { [`${head.dataset.key}_low`]: Number(cell.dataset.low), [`${head.dataset.key}_high`]: Number(cell.dataset.high) });
    });
    return record;
  });
  const save = (name, type, text) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.download = name;
    link.click();
    URL.revokeObjectURL(link.href);
  };
  const quoted = (value) => (value === null || value === undefined ? "" : /[",\n]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : value);
  byId("csv").addEventListener("click", () => {
    const all = records();
    const names = [...new Set(all.flatMap(Object.keys))];
    save("ranking.csv", "text/csv", [names, ...all.map((r) => names.map((n) => quoted(r[n])))].map((line) => line.join(",")).join("\n") + "\n");
  });
  byId("json").addEventListener("click", () => save("ranking.json", "application/json", JSON.stringify(records(), null, 1) + "\n"));

  for (const row of rows) {
    const source = document.getElementById(`s1i${row.dataset.picture}`)?.closest(".views");
    if (!source) continue;
    const name = row.cells[1].textContent;
    const button = document.createElement("button");
    const thumbnail = new Image();
    const label = document.createElement("span");
    button.type = "button";
    button.className = "shows";
    button.title = "show it in the slider";
    thumbnail.src = (source.querySelector(".part img") ?? source.querySelector("img")).src;
    thumbnail.alt = "";
    label.className = "name";
    label.textContent = name;
    button.append(thumbnail, label);
    row.cells[1].replaceChildren(button);
    button.addEventListener("click", () => {
      byId("right").value = row.dataset.picture;
      byId("right").dispatchEvent(new Event("change"));
    });
  }
}

const viewer = byId("viewer");
if (viewer) setUpViewer();  // a page may have no pictures

function setUpViewer() {
  const stage = viewer.querySelector(".stage");
  const cut = byId("cut");
  const view = byId("window");
  const sides = ["left", "right"].map((side) => ({
    choice: byId(side),
    image: stage.querySelector(`.${side} img`),
    caption: stage.querySelector(`.${side} figcaption`),
  }));
  const titleOf = (choice) => choice.selectedOptions[0].textContent;

  function drawCut() {
    const names = sides.map((s) => s.caption.textContent);
    stage.style.setProperty("--cut", `${cut.value}%`);
    cut.setAttribute("aria-valuetext", `${cut.value} percent ${names[0]}, ${100 - cut.value} percent ${names[1]}`);
  }

  function draw() {
    const slice = byId("slice").value;
    for (const side of sides) {
      const shown = byId(`s${slice}i${side.choice.value}`);
      const soft = view?.value === "mediastinum" && shown.dataset.mediastinum;
      side.image.src = soft ? `data:image/webp;base64,${soft}` : shown.src;
      side.image.alt = shown.alt;
      side.caption.textContent = shown.dataset.title;
    }
    stage.classList.toggle("difference", byId("difference").checked);
    cut.disabled = byId("difference").checked;
    for (const row of document.querySelectorAll(".ranking tbody tr")) row.classList.toggle("shown", row.dataset.picture === sides[1].choice.value);
    drawCut();
  }

  // The link holds what is shown, so that it can be sent.
  function keepInLink() {
    const state = new URLSearchParams({ left: titleOf(byId("left")), right: titleOf(byId("right")), slice: byId("slice").value, cut: cut.value });
    if (view) state.set("window", view.value);
    if (byId("difference").checked) state.set("difference", "1");
    history.replaceState(null, "", `#${state}`);
  }
  function readLink() {
    const state = new URLSearchParams(location.hash.slice(1));
    if (!state.has("left") && !state.has("right")) return;
    for (const side of ["left", "right"]) {
      const option = [...byId(side).options].find((o) => o.textContent === state.get(side));
      if (option) byId(side).value = option.value;
    }
    for (const name of ["slice", "window"]) {
      const choice = byId(name);
      if (choice && [...choice.options].some((o) => o.value === state.get(name))) choice.value = state.get(name);
    }
    if (state.has("cut")) cut.value = state.get("cut");
    byId("difference").checked = state.get("difference") === "1";
  }

  viewer.classList.add("live");
  viewer.querySelectorAll(".controls").forEach((c) => { c.hidden = false; });
  for (const control of [byId("left"), byId("right"), byId("slice"), byId("difference"), ...(view ? [view] : [])]) {
    control.addEventListener("change", () => { draw(); keepInLink(); });
  }
  cut.addEventListener("input", drawCut);
  cut.addEventListener("change", keepInLink);
  const follow = (event) => {
    if (!(event.buttons & 1) || cut.disabled) return;
    const box = stage.getBoundingClientRect();
    cut.value = Math.round(Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1) * 100);
    drawCut();
  };
  stage.addEventListener("pointerdown", follow);
  stage.addEventListener("pointermove", follow);
  stage.addEventListener("pointerup", keepInLink);
  addEventListener("hashchange", () => { readLink(); draw(); });
  readLink();
  draw();
}
