// The segments of a run over its steps: borders to drag, the half-done picture under each, and what will happen, in words.
const { h, hear, icon, t, tell, segments: cut } = stepwise;
const root = element.querySelector(".sw-timeline");
const HUES = 7;
const COALESCE = 900; // milliseconds: typing in one field is one change

const button = (name, path, act) => h("button", { type: "button", class: "sw-quiet", title: t(`timeline.${name}.hint`), "aria-label": t(`timeline.${name}`), onclick: act }, icon(path), h("span", { class: "sw-word" }, t(`timeline.${name}`)));
const at = h("input", { class: "sw-input sw-number", type: "number", inputmode: "numeric", min: "0", step: "1", "aria-label": t("timeline.at") });
const splitting = button("split", "M8 1.5v13M5.5 5 2 8l3.5 3M10.5 5 14 8l-3.5 3", () => split(chosen, at.value === "" ? null : Number(at.value)));
const deleting = button("delete", "M3 4.5h10M6.5 4.5V3h3v1.5M4.5 4.5l.6 8.5h5.8l.6-8.5", () => remove(chosen));
const undoing = button("undo", "M5.5 3 2.5 6l3 3M2.5 6H10a3.5 3.5 0 0 1 0 7H6", () => step(-1));
const redoing = button("redo", "m10.5 3 3 3-3 3M13.5 6H6a3.5 3.5 0 0 0 0 7h4", () => step(1));
const faces = ["nodes", "steps"].map((name) => h("button", { type: "button", class: "sw-quiet", "aria-pressed": "false", title: t(`timeline.${name}.hint`), onclick: (event) => face(name, event.currentTarget) }, t(`timeline.${name}`)));
const tools = h("div", { class: "sw-tl-tools", role: "toolbar", "aria-label": t("timeline.tools") },
  h("span", { class: "sw-tl-cut" }, splitting, at), deleting, undoing, redoing, h("span", { class: "sw-grow" }), ...faces);
const ruler = h("div", { class: "sw-tl-ruler", "aria-hidden": "true" });
const track = h("div", { class: "sw-tl-track", role: "group", "aria-label": t("timeline") });
const shelf = h("div", { class: "sw-tl-shelf" });
const said = h("p", { class: "sw-tl-said", id: "split-said", "aria-live": "polite" });
const odd = h("ul", { class: "sw-tl-odd", id: "split-odd" });
const wrong = h("p", { class: "sw-error", role: "alert", id: "split-wrong", hidden: true });
root.replaceChildren(tools, h("div", { class: "sw-tl-board" }, ruler, track, shelf), said, odd, wrong);

let list = cut.list(props.value), chosen = props.value?.chosen ?? 0;
let view = props.view ?? null;   // what the server last said of a plan
let past = [cut.text(list)], now = 0, typed = { name: "", when: 0 };
let drag = null;                 // {k, side, step, moved} while a border is held
let run = null, ran = "";        // the run on the stage, and the segments that it was made with

const total = () => view?.steps ?? props.steps ?? 20;
const pct = (share) => `${Math.min(Math.max(share, 0), 1) * 100}%`;
const restarted = (k) => Boolean(view?.segments[k]?.restart ?? list[k].border === "restart");

// --- changes ---------------------------------------------------------------------------------------------------------

function put(next, pick = chosen) {
  list = next;
  chosen = Math.min(Math.max(pick, 0), list.length - 1);
  remember("");
  props.value = { segments: cut.text(list), chosen, edited: "" };
  draw();
  trigger("input");
}
function remember(name) {
  const text = cut.text(list);
  if (text === past[now]) return;
  const more = name && typed.name === name && Date.now() - typed.when < COALESCE && now > 0;
  past = [...past.slice(0, more ? now : now + 1), text].slice(-100);
  now = past.length - 1;
  typed = { name, when: Date.now() };
}
function step(by) {
  if (past[now + by] === undefined) return;
  now += by;
  list = cut.list({ segments: past[now] });
  chosen = Math.min(chosen, list.length - 1);
  props.value = { segments: past[now], chosen, edited: "" };
  draw();
  trigger("input");
}
function split(k, where) {
  const { start, end } = cut.places(list, total())[k];
  const step = where ?? Math.floor((start + end) / 2);
  if (end - start < 1 || step < start || step > end) return tell("problem", t("timeline.split.no", { first: start, last: end }), element);
  put(cut.split(list, k, step), k + 1);
}
function remove(k) {
  if (list.length > 1) put(cut.removed(list, k, total()), Math.max(k - 1, 0));
}
function pick(k) {
  if (k !== chosen) {
    chosen = k;
    props.value = { ...props.value, chosen, edited: "" };
    draw();
  }
  trigger("picked");
}
/** How far a border may go: to the ends of the segments beside it. */
function bounds(k, side) {
  const all = cut.places(list, total());
  if (side === "start") return [0, all[k].end];
  const next = k + 1 < list.length && cut.attached(list, k + 1, total()) ? all[k + 1].end : all[k].steps;
  return [all[k].start, next];
}
function moved(k, side, step) {
  const [low, high] = bounds(k, side);
  const to = Math.min(Math.max(Math.round(step), low), high);
  return side === "start" ? cut.started(list, k, to) : cut.ended(list, k, to, total());
}

// --- drawing ---------------------------------------------------------------------------------------------------------

/** Borders that can be held: the end of each segment, and a start where it is not the end of the one before. */
function handles() {
  const all = cut.places(list, total());
  return all.flatMap((place, k) => {
    const own = [];
    if (k ? !cut.attached(list, k, total()) : place.start > 0) own.push({ k, side: "start", step: place.start, steps: place.steps });
    if (k + 1 < list.length || place.end < place.steps) own.push({ k, side: "end", step: place.end, steps: place.steps });
    return own;
  });
}
function facts(k) {
  const segment = list[k], own = [];
  if (segment.cfg !== undefined) own.push(t("timeline.cfg", { cfg: typeof segment.cfg === "object" ? t("timeline.schedule") : segment.cfg }));
  for (const name of ["sampler", "model", "scheduler"]) if (segment[name]) own.push(segment[name]);
  if (segment.loras) own.push(segment.loras.map((lora) => lora.name).join(", ") || t("timeline.no_loras"));
  if (view?.segments[k]?.add_noise && k) own.push(t("timeline.noise"));
  if (k && restarted(k)) own.push(t("timeline.restart"));
  return own.join(" · ");
}
function title(k) {
  const segment = list[k];
  if (segment.prompt && !segment.conditioning) return segment.prompt;
  return view?.segments[k]?.title || t("timeline.run_prompt");
}
function drawSegment(place, k) {
  const [first, last] = [place.start, Math.max(place.end - 1, place.start)];
  const own = list[k].prompt !== undefined || list[k].conditioning;
  const part = h("button", { type: "button", class: "sw-tl-segment", "data-k": `s${k}`, "data-segment": String(k), "aria-pressed": String(k === chosen),
    title: title(k), "aria-label": t("timeline.segment", { n: k + 1, of: list.length, first, last, prompt: title(k) }) },
    h("b", { class: own ? "" : "is-ghost" }, title(k)), h("small", {}, facts(k)));
  part.style.left = pct(place.start / place.steps);
  part.style.width = pct((place.end - place.start) / place.steps);
  part.dataset.hue = String(k % HUES);
  part.classList.toggle("is-over", k > 0 && place.start < cut.places(list, total())[k - 1].end);
  return part;
}
function drawHandle({ k, side, step, steps }) {
  const [low, high] = bounds(k, side);
  const held = drag && drag.k === k && drag.side === side;
  const handle = h("div", { class: "sw-tl-border", tabindex: "0", role: "slider", "data-k": `${side}${k}`, "data-segment": String(k), "data-side": side,
    "aria-label": side === "end" ? t("timeline.border", { a: k + 1, b: k + 2 }) : t("timeline.start", { n: k + 1 }),
    "aria-valuemin": String(low), "aria-valuemax": String(high), "aria-valuenow": String(step), "aria-valuetext": t("timeline.step", { step, steps }) },
    h("span", { class: "sw-tl-flag" }, String(step)));
  handle.classList.toggle("is-held", Boolean(held));
  handle.classList.toggle("is-restart", restarted(side === "start" ? k : Math.min(k + 1, list.length - 1)) && (side === "start" || k + 1 < list.length));
  handle.style.left = pct(step / steps);
  return handle;
}
function drawTick({ segment, step, text }) {
  const place = cut.places(list, total())[segment];
  const mark = h("span", { class: "sw-tl-tick", title: t("timeline.tick", { step, prompt: text }), "data-step": String(step) });
  mark.style.left = pct(step / (place?.steps || total()));
  return mark;
}
/** Ruler marks about 44 pixels apart. */
function drawRuler() {
  const steps = total(), room = Math.max(2, Math.floor((track.clientWidth || 600) / 44));
  const every = [1, 2, 5, 10, 20, 25, 50, 100, 200, 250, 500].find((n) => steps / n <= room) ?? 1000;
  const marks = [];
  for (let n = 0; n <= steps - every * 0.6; n += every) marks.push(n);
  ruler.replaceChildren(...[...marks, steps].map((n) => {
    const mark = h("span", {}, String(n));
    mark.style.left = pct(n / steps);
    return mark;
  }));
}
/** Steps done where segment k ends. */
function done(k) {
  const end = cut.places(list, total())[k].end;
  const told = view?.segments[k];
  return told ? told.done + told.count + (end - told.end) : end;
}
function drawShelf() {
  const film = (run?.film ?? []).filter((frame) => frame.image === 0);
  const all = cut.places(list, total());
  const width = track.clientWidth || 600, half = 34;
  let free = -Infinity;
  const shown = all.slice(0, -1).flatMap((place, k) => {
    const x = Math.min(Math.max((place.end / place.steps) * width, half), width - half);
    if (x - half < free) return [];
    free = x + half;
    const step = done(k);
    const frame = film.reduce((best, one) => (!best || Math.abs(one.step - step) < Math.abs(best.step - step) ? one : best), null);
    const near = frame && frame.step === step;
    const what = frame ? t(near ? "timeline.handed" : "timeline.handed.near", { step: frame.step }) : t("timeline.handed.none");
    const figure = h("figure", { class: "sw-tl-still", "data-border": String(k), title: what }, frame ? h("img", { alt: what, src: frame.src, draggable: "false" }) : h("span", { class: "sw-tl-none" }),
      h("figcaption", {}, frame ? (near ? String(step) : `≈ ${frame.step}`) : String(step)));
    figure.style.left = `${x}px`;
    return [figure];
  });
  shelf.replaceChildren(...shown);
  shelf.classList.toggle("is-stale", Boolean(run) && ran !== cut.text(list) && !drag);
  shelf.hidden = all.length < 2;
}
function drawPlayhead() {
  track.querySelector(".sw-tl-head")?.remove();
  if (run?.state !== "running" || !run.steps) return;
  const head = h("span", { class: "sw-tl-head", "aria-hidden": "true" });
  head.style.left = pct(position(run.step));
  track.append(head);
}
/** Where on the track so many done steps are. */
function position(step) {
  for (const part of view?.segments ?? []) if (step >= part.done && step <= part.done + part.count && part.count) return (part.start + step - part.done) / part.steps;
  return step / (view?.total || total());
}
function drawSaid() {
  if (!view) return;
  if (said.textContent !== view.text) said.textContent = view.text;
  odd.replaceChildren(...view.warnings.map((text) => h("li", {}, text)));
  odd.hidden = view.warnings.length === 0;
  if (wrong.textContent !== view.error) wrong.textContent = view.error;
  wrong.hidden = !view.error;
  root.dataset.text = view.text;
}
function draw() {
  const focus = element.contains(document.activeElement) ? document.activeElement.dataset.k : null;
  const all = cut.places(list, total());
  track.replaceChildren(...all.map(drawSegment), ...(drag ? [] : (view?.ticks ?? []).map(drawTick)), ...handles().map(drawHandle));
  drawRuler();
  drawShelf();
  drawPlayhead();
  drawSaid();
  if (focus) element.querySelector(`[data-k="${focus}"]`)?.focus({ preventScroll: true });
  deleting.disabled = list.length < 2;
  undoing.disabled = now === 0;
  redoing.disabled = now === past.length - 1;
  at.placeholder = String(Math.floor((all[chosen].start + all[chosen].end) / 2));
  tell("segments", { list, chosen, view, total: total() }, element);
}
function face(name, button) {
  const open = button.getAttribute("aria-pressed") !== "true";
  button.setAttribute("aria-pressed", String(open));
  tell(name, open, element);
}

// --- hands -----------------------------------------------------------------------------------------------------------

const under = (event) => {
  const box = track.getBoundingClientRect();
  return (event.clientX - box.left) / box.width;
};
track.addEventListener("pointerdown", (event) => {
  const handle = event.target.closest(".sw-tl-border");
  if (!handle || event.button > 0) return;
  event.preventDefault();
  handle.focus({ preventScroll: true });
  const k = Number(handle.dataset.segment), side = handle.dataset.side;
  drag = { k, side, before: list };
  track.setPointerCapture(event.pointerId);
  draw();
});
track.addEventListener("pointermove", (event) => {
  if (!drag) return;
  const { k, side } = drag, steps = cut.places(list, total())[k].steps;
  list = moved(k, side, under(event) * steps);
  draw();
  border(k);
});
function border(k) {
  const place = cut.places(list, total())[k];
  tell("border", { segment: k, step: place.end, steps: place.steps }, element);
}
function release(event) {
  if (!drag) return;
  const { before } = drag, next = list;
  drag = null;
  list = before;
  if (cut.text(next) !== cut.text(before) && event.type === "pointerup") put(next);
  else draw();
}
track.addEventListener("pointerup", release);
track.addEventListener("pointercancel", release);
track.addEventListener("click", (event) => {
  const part = event.target.closest(".sw-tl-segment");
  if (part) pick(Number(part.dataset.segment));
});
track.addEventListener("dblclick", (event) => {
  const part = event.target.closest(".sw-tl-segment");
  if (!part) return;
  const k = Number(part.dataset.segment);
  split(k, Math.round(under(event) * cut.places(list, total())[k].steps));
});
const MOVES = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 5, PageDown: -5, Home: -Infinity, End: Infinity };
element.addEventListener("keydown", (event) => {
  if (event.target.closest("input")) return;
  const handle = event.target.closest(".sw-tl-border"), key = event.key, command = event.ctrlKey || event.metaKey;
  const k = handle ? Number(handle.dataset.segment) : chosen;
  if (handle && MOVES[key] && !command) {
    const place = cut.places(list, total())[k];
    put(moved(k, handle.dataset.side, place[handle.dataset.side] + MOVES[key] * (event.shiftKey ? 5 : 1)));
    border(k);
  } else if (command && key.toLowerCase() === "z") step(event.shiftKey ? 1 : -1);
  else if (command && key.toLowerCase() === "y") step(1);
  else if (command || event.altKey) return;
  else if (key === "Delete" || key === "Backspace") remove(handle && handle.dataset.side === "end" && k + 1 < list.length ? k + 1 : k);
  else if (key.toLowerCase() === "s") split(k, null);
  else return;
  event.preventDefault();
});
at.addEventListener("keydown", (event) => { if (event.key === "Enter" && !event.ctrlKey && !event.metaKey) splitting.click(); });

// --- what others say -------------------------------------------------------------------------------------------------

hear("run", (next) => {
  if (next && next.id !== run?.id) ran = cut.text(list);
  run = next;
  drawShelf();
  drawPlayhead();
}, element);
hear("border:set", ({ segment, step }) => {
  if (segment < list.length - 1) put(moved(segment, "end", step));
}, element);
hear("segment:set", ({ segment, name, value }) => {
  const next = cut.patched({ segments: cut.text(list), chosen: segment }, name, value);
  put(cut.list(next), segment);
}, element);
hear("segment:pick", pick, element);
hear("segments?", () => tell("segments", { list, chosen, view, total: total() }, element), element);
watch("value", () => {
  if (drag) return;
  const next = cut.list(props.value);
  chosen = Math.min(props.value?.chosen ?? 0, next.length - 1);
  const same = cut.text(next) === cut.text(list);
  list = next;
  if (!same) remember(props.value?.edited ?? "");
  draw();
  if (props.value?.edited) trigger("edited");
});
watch("view", () => {
  if (!props.view) return;
  view = props.view;
  if (!drag) draw();
});
new ResizeObserver(() => draw()).observe(track);
draw();
