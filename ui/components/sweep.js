// The pictures of a sweep: a slider that scrubs through them on the stage, a cell for each, two of them compared, all of them saved.
const { h, hear, icon, t, tell } = stepwise;
const root = element.querySelector(".sw-sweep");
const LARGEST = 160, SMALLEST = 26; // pixels, of a cell's width

const sliders = h("div", { class: "sw-sweep-sliders" });
const cells = h("div", { class: "sw-sweep-cells", role: "group", "aria-label": t("sweep.cells") });
const said = h("p", { class: "sw-hint", id: "sweep-said", "aria-live": "polite" });
const comparing = h("button", { type: "button", class: "sw-quiet", id: "sweep-compare", "aria-pressed": "false", title: t("sweep.compare.hint"), onclick: () => compare(pinned === null ? at : null) }, icon("M8 2v12M2.5 4h3.5v8H2.5zM10 4h3.5v8H10z"), t("sweep.compare"));
const settings = h("button", { type: "button", class: "sw-quiet", id: "sweep-open", title: t("sweep.open.hint"), onclick: () => trigger("reuse", { id: cell(at)?.id }) }, t("stage.reuse"));
const saves = ["webp", "gif", "mp4", "png"].map((form) => h("button", { type: "button", class: "sw-quiet", "data-form": form, disabled: form === "mp4" && !props.mp4, title: t(form === "mp4" && !props.mp4 ? "sweep.save.no_mp4" : `sweep.save.${form}.hint`), onclick: () => save(form) }, t(`sweep.save.${form}`)));
const saving = h("span", { class: "sw-hint", role: "status" });
const tools = h("div", { class: "sw-actions" }, comparing, settings, h("span", { class: "sw-grow" }), h("span", { class: "sw-label" }, t("sweep.save")), ...saves, saving);
const figures = ["a", "b", "difference"].map((name) => h("figure", { "data-name": name }, h("img", { alt: "", draggable: "false" }), h("figcaption", {})));
const number = h("p", { class: "sw-sweep-number", id: "sweep-difference", role: "status" });
const pair = h("div", { class: "sw-sweep-pair", hidden: true }, ...figures, number);
root.replaceChildren(sliders, cells, tools, pair, said);

let sweep = null;    // what the server last told
let at = [];         // the place that is looked at
let follow = true;   // until somebody scrubs, the picture in the making is looked at
let pinned = null;   // the place that others are compared with
let asking = false;  // a comparison is on its way; the next one is asked for when it is there
const loaded = new Map(); // address -> picture: kept, so that scrubbing never waits

const same = (a, b) => String(a) === String(b);
const cell = (place) => sweep?.cells.find((one) => same(one.place, place)) ?? null;
const border = (axis) => axis.path.match(/^segments\.(\d+)\.end$/)?.[1] ?? null;

function label(axis) {
  const [, k, name] = axis.path.match(/^segments\.(\d+)\.(\w+)$/) ?? [null, null, axis.path];
  const word = ["border", "noise_seed"].includes(name) ? t(`inspect.${name}`) : t(name === "batch" ? "seed" : name);
  if (k === null) return word;
  return name === "end" ? t("sweep.border", { a: Number(k) + 1, b: Number(k) + 2 }) : t("sweep.of_segment", { n: Number(k) + 1, label: word });
}
const named = (place) => sweep.axes.map((axis, k) => `${label(axis)}: ${axis.values[place[k]]}`).join(", ");

// --- looking -----------------------------------------------------------------------------------------------------------

/** Looks at a place: on the stage, in the cells, in the sliders. `moved`: by which axis; the border follows once the hand rests. */
function look(place, { drag = false, axis = null } = {}) {
  at = place;
  const found = cell(at);
  if (found) tell("look", { ...found, caption: named(at) }, element);
  draw();
  if (pinned && found?.id) compared();
  if (axis !== null && !drag) {
    const k = border(sweep.axes[axis]);
    if (k !== null) tell("border:set", { segment: Number(k), step: Number(sweep.axes[axis].values[at[axis]]) }, element);
  }
}
function scrubbed(axis, index, drag) {
  follow = false;
  look(at.map((old, k) => (k === axis ? index : old)), { axis, drag });
}
function load() {
  for (const { src, id } of sweep.cells) {
    if (!id || loaded.has(src)) continue;
    const picture = new Image();
    picture.src = src;
    loaded.set(src, picture);
  }
}

// --- drawing -----------------------------------------------------------------------------------------------------------

/** What sliders and cells are made for; Gradio may show a value while it is still changing it. */
const shape = () => JSON.stringify([sweep?.id, sweep?.axes]);

function draw() {
  drawSliders();
  drawCells();
}
function drawSliders() {
  const long = sweep ? sweep.axes.filter((axis) => axis.values.length > 1) : [];
  if (sliders.dataset.shape !== shape()) {
    sliders.dataset.shape = shape();
    sliders.replaceChildren(...long.map((axis) => slider(axis, sweep.axes.indexOf(axis))));
  }
  for (const row of sliders.children) {
    const k = Number(row.dataset.axis), axis = sweep.axes[k], range = row.querySelector("input");
    range.value = at[k];
    range.style.setProperty("--share", `${(at[k] / (axis.values.length - 1)) * 100}%`);
    const missing = cell(at)?.id ? "" : ` ${t("sweep.missing")}`;
    range.setAttribute("aria-valuetext", `${label(axis)}: ${axis.values[at[k]]}${missing}`);
    row.querySelector("output").textContent = axis.values[at[k]];
  }
}
function slider(axis, k) {
  const range = h("input", { type: "range", min: "0", max: String(axis.values.length - 1), step: "1", "aria-label": label(axis), "data-axis": String(k) });
  range.addEventListener("input", () => scrubbed(k, Number(range.value), true));
  range.addEventListener("change", () => scrubbed(k, Number(range.value), false));
  const every = Math.ceil((axis.values.length - 1) / 6), last = axis.values.length - 1;
  const written = axis.values.flatMap((value, n) => (n % every === 0 && (n === last || last - n >= every) || n === last ? [[value, n]] : []));
  // Values are written under the first slider, whose places are the columns.
  const ticks = h("div", { class: "sw-sweep-ticks", "aria-hidden": "true", hidden: k > 0 }, written.map(([value, n]) => h("span", { style: `left:${(n / last) * 100}%;max-width:calc(var(--cell) * ${every})` }, value)));
  return h("div", { class: "sw-sweep-slider", "data-axis": String(k) }, h("div", { class: "sw-head" }, h("span", { class: "sw-label" }, label(axis)), h("output", {})), h("div", { class: "sw-sweep-track" }, range, ticks));
}
/** Rows and columns: the first axis runs right, all others down. */
function drawCells() {
  const [first, ...others] = sweep?.axes ?? [];
  if (!first) return cells.replaceChildren();
  const columns = first.values.length, total = columns * others.reduce((n, axis) => n * axis.values.length, 1);
  if (cells.dataset.shape !== shape()) {
    cells.dataset.shape = shape();
    cells.replaceChildren(...[...Array(total).keys()].map((n) => figure(placed(n))));
  }
  const room = (cells.clientWidth || 606) - 6, gap = 3; // without the padding
  const width = Math.min(LARGEST, Math.max(SMALLEST, Math.floor((room - gap * (columns - 1)) / columns)));
  cells.style.gridTemplateColumns = `repeat(${columns}, ${width}px)`;
  // The first slider runs over its pictures: its thumb (16 pixels) stands over the middle of a cell.
  const whole = columns * width + gap * (columns - 1);
  sliders.style.setProperty("--inset", `${Math.max(width / 2 - 8, 0)}px`);
  sliders.style.setProperty("--cell", `${width + gap}px`);
  sliders.style.setProperty("--whole", whole <= room ? `${whole}px` : "100%");
  for (const button of cells.children) fill(button);
}
function placed(n) {
  const sizes = sweep.axes.map((axis) => axis.values.length);
  return sizes.map((size) => { const k = n % size; n = (n - k) / size; return k; });
}
function figure(place) {
  const button = h("button", { type: "button", class: "sw-cell", "data-place": String(place), title: named(place), onclick: () => { follow = false; look(place, { axis: 0 }); } },
    h("img", { alt: "", draggable: "false" }), h("span", { class: "sw-cell-pin", hidden: true }, "A"));
  button.addEventListener("dblclick", () => trigger("reuse", { id: cell(place)?.id }));
  button.addEventListener("keydown", (event) => arrow(event, place));
  return button;
}
function fill(button) {
  const place = button.dataset.place.split(",").map(Number), found = cell(place), image = button.firstChild;
  const kind = found?.kind ?? "none"; // none: the sweep has no picture there
  button.dataset.kind = kind;
  button.style.aspectRatio = found ? `${found.width} / ${found.height}` : "";
  button.disabled = kind === "none";
  image.hidden = !found?.thumb;
  if (found?.thumb && image.getAttribute("src") !== found.thumb) image.src = found.thumb;
  button.setAttribute("aria-label", `${named(place)}. ${t(`sweep.cell.${found?.id ? "done" : kind === "preview" ? "preview" : "wait"}`)}`);
  button.setAttribute("aria-pressed", String(same(place, at)));
  button.tabIndex = same(place, at) ? 0 : -1; // one stop for the whole grid; arrows move within
  button.lastChild.hidden = !pinned || !same(place, pinned);
}
const ARROWS = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 1], ArrowUp: [1, -1] };
function arrow(event, place) {
  const move = ARROWS[event.key];
  if (!move || sweep.axes.length <= move[0]) return;
  event.preventDefault();
  const [axis, by] = move, index = place[axis] + by;
  if (index < 0 || index >= sweep.axes[axis].values.length) return;
  scrubbed(axis, index, false);
  [...cells.children].find((one) => same(one.dataset.place, at))?.focus();
}

// --- comparing and saving ----------------------------------------------------------------------------------------------

function compare(place) {
  pinned = place;
  asking = false;
  comparing.setAttribute("aria-pressed", String(pinned !== null));
  pair.hidden = pinned === null;
  drawCells();
  if (pinned) compared();
}
function compared() {
  const [a, b] = [cell(pinned), cell(at)];
  [a, b].forEach((one, k) => {
    const [image, caption] = figures[k].children;
    if (one?.src) image.src = one.src;
    image.alt = one ? named(one.place) : "";
    caption.textContent = one ? named(one.place) : "";
  });
  if (same(pinned, at)) {
    number.textContent = t("sweep.compare.pick");
    figures[2].classList.add("is-empty");
  } else if (a?.id && b?.id && !asking) {
    asking = true;
    trigger("compare", { a: a.id, b: b.id });
  }
}
function showCompared() {
  const told = props.compared;
  asking = false;
  if (!told || !pinned) return;
  if (told.a !== cell(pinned)?.id || told.b !== cell(at)?.id) return compared(); // the hand was faster
  number.textContent = told.error || told.text;
  number.dataset.rms = told.rms ?? "";
  figures[2].classList.toggle("is-empty", Boolean(told.error));
  const [image, caption] = figures[2].children;
  if (told.src) image.src = told.src;
  image.alt = caption.textContent = t("sweep.difference.map");
}
function save(form) {
  saving.textContent = t("sweep.saving");
  trigger("save", { form, job: sweep.id });
}
function showSaved() {
  const told = props.saved;
  if (!told) return;
  saving.textContent = told.error ?? "";
  if (told.error) return;
  const link = h("a", { href: told.src, download: told.name, hidden: true });
  root.append(link);
  link.click();
  link.remove();
}

// --- what is told ------------------------------------------------------------------------------------------------------

function told() {
  const next = props.value ?? null, other = next?.id !== sweep?.id;
  sweep = next;
  root.hidden = !sweep;
  if (!sweep) return;
  if (other) {
    follow = true;
    compare(null);
    loaded.clear();
    at = sweep.cells[0].place;
  }
  load();
  const making = sweep.cells[sweep.now], done = sweep.cells.filter((one) => one.id);
  const latest = making?.src ? making : done.at(-1);
  if (follow && latest && sweep.fresh) look(latest.place);
  else if (!follow && sweep.fresh) look(at);
  else draw();
  const ready = done.length > 0;
  for (const part of [...saves, comparing, settings]) part.disabled = !ready || (part.dataset.form === "mp4" && !props.mp4);
  said.textContent = sweep.text;
}
hear("border", ({ segment, step }) => { // the hand that drags the border scrubs
  const axis = sweep ? sweep.axes.findIndex((one) => border(one) === String(segment)) : -1;
  const index = axis < 0 ? -1 : sweep.axes[axis].values.indexOf(String(step));
  if (index >= 0) scrubbed(axis, index, true);
}, element);
watch("value", told);
watch("compared", showCompared);
watch("saved", showSaved);
new ResizeObserver(() => drawCells()).observe(cells);
tell("under", root, element); // directly under the picture
told();
