// What is to be swept: the border at hand by one click, or any fields of the recipe; and what it would cost.
const { h, hear, icon, t, segments: cut } = stepwise;
const root = element.querySelector(".sw-sweep-form");
const PATIENCE = 250; // milliseconds without a change before the cost is asked for
const MOST = 3;

const quick = h("button", { type: "button", class: "sw-quiet sw-sweep-go", id: "sweep-border", onclick: () => start(false) }, icon("M2 8h12M5 5 2 8l3 3M11 5l3 3-3 3"), h("span", {}));
const more = h("button", { type: "button", class: "sw-quiet", id: "sweep-more", "aria-expanded": "false", onclick: () => unfold(!open) }, t("sweep.more"));
const cost = h("p", { class: "sw-hint", id: "sweep-cost", "aria-live": "polite" });
const rows = h("div", { class: "sw-sweep-rows" });
const add = h("button", { type: "button", class: "sw-quiet", id: "sweep-add", onclick: () => { axes.push(fresh()); drawRows(); changed(); } }, t("sweep.add"));
const run = h("button", { type: "button", class: "sw-go sw-small", id: "sweep-run", onclick: () => start(true) }, t("sweep.run"));
const builder = h("div", { class: "sw-sweep-builder", hidden: true }, rows, h("div", { class: "sw-actions" }, run, add));
root.replaceChildren(h("div", { class: "sw-sweep-ask" }, quick, more, cost), builder);

let now = { list: [{}], chosen: 0, total: 20 }; // what the timeline last told
let held = 0;                                   // the segment whose border is at hand
let open = false, axes = [], waiting = 0, sent = "";

// --- fields ----------------------------------------------------------------------------------------------------------

const number = (path, label, values) => ({ path, label, kind: "number", values });
const names = (path, label, choices, chosen, word = (name) => name) => ({ path, label, kind: "names", choices, values: chosen, word });
const words = (path, label) => ({ path, label, kind: "texts", values: [] });

/** Borders that one number moves: the end of a segment where the next one starts. */
function borders() {
  const all = cut.places(now.list, now.total);
  return all.slice(0, -1).flatMap((place, k) => (cut.attached(now.list, k + 1, now.total) ? [{ segment: k, low: place.start, high: all[k + 1].end }] : []));
}
function fields() {
  const own = borders().map(({ segment, low, high }) => number(`segments.${segment}.end`, t("sweep.border", { a: segment + 1, b: segment + 2 }), `${low}:${high}`));
  const whole = [number("cfg", t("cfg"), "1:8"), number("steps", t("steps"), "4:20:4"), number("seed", t("seed"), "1:6"),
    names("sampler", t("sampler"), props.samplers, ["euler", "euler_ancestral", "dpmpp_2m"]), names("scheduler", t("scheduler"), props.schedulers, ["normal", "karras"]),
    words("prompt", t("prompt")), words("negative", t("negative"))];
  const parts = now.list.length < 2 && !Object.keys(now.list[0]).length ? [] : now.list.flatMap((_, k) => {
    const of = (label) => t("sweep.of_segment", { n: k + 1, label });
    const path = (name) => `segments.${k}.${name}`;
    return [words(path("prompt"), of(t("prompt"))), number(path("cfg"), of(t("cfg")), "1:8"), names(path("sampler"), of(t("sampler")), props.samplers, ["euler", "dpmpp_2m"]),
      ...(k ? [names(path("border"), of(t("inspect.border")), ["continue", "restart"], ["continue", "restart"], (name) => t(`inspect.border.${name}`)),
        number(path("noise_seed"), of(t("inspect.noise_seed")), "1:6")] : [])];
  });
  return [...own, ...whole, ...parts];
}
function fresh() {
  const used = new Set(axes.map((axis) => axis.path));
  const field = fields().find((one) => !used.has(one.path));
  return { path: field.path, values: field.values };
}

// --- what the server is told -------------------------------------------------------------------------------------------

function asked() {
  if (open) return axes.map(({ path, values }) => ({ path, values }));
  const border = borders().find((one) => one.segment === held) ?? borders()[0];
  return border ? [{ path: `segments.${border.segment}.end`, values: `${border.low}:${border.high}` }] : [];
}
/** The cost is asked for once the hand rests, and only while somebody can see it. */
function changed() {
  clearTimeout(waiting);
  waiting = setTimeout(() => {
    const text = JSON.stringify({ axes: asked() });
    if (!element.getClientRects().length || !asked().length) return;
    sent = text;
    props.value = text;
    trigger("input");
  }, PATIENCE);
}
function start(built) {
  if (built !== open) unfold(built);
  clearTimeout(waiting);
  props.value = sent = JSON.stringify({ axes: asked() });
  trigger("sweep");
}

// --- drawing -----------------------------------------------------------------------------------------------------------

function unfold(wanted) {
  open = wanted;
  if (open && !axes.length) axes = [fresh()];
  more.setAttribute("aria-expanded", String(open));
  builder.hidden = !open;
  draw();
  if (open) drawRows();
  changed();
}
function drawRows() {
  const known = fields();
  axes = axes.filter((axis) => known.some((field) => field.path === axis.path));
  if (!axes.length) axes = [fresh()];
  rows.replaceChildren(...axes.map((axis, k) => drawRow(axis, k, known)));
  add.disabled = axes.length >= MOST;
}
function drawRow(axis, k, known) {
  const field = known.find((one) => one.path === axis.path);
  const pick = h("select", { class: "sw-input", "aria-label": t("sweep.field", { n: k + 1 }) }, known.map((one) => h("option", { value: one.path }, one.label)));
  pick.value = axis.path;
  pick.addEventListener("change", () => {
    const next = known.find((one) => one.path === pick.value);
    axes[k] = { path: next.path, values: next.values };
    drawRows();
    rows.children[k].querySelector("select").focus();
    changed();
  });
  const drop = h("button", { type: "button", class: "sw-quiet sw-square", "aria-label": t("sweep.drop", { field: field.label }), title: t("sweep.drop", { field: field.label }), disabled: axes.length < 2,
    onclick: () => { axes.splice(k, 1); drawRows(); changed(); } }, icon("m4 4 8 8m0-8-8 8"));
  return h("div", { class: "sw-sweep-row", role: "group", "aria-label": t("sweep.axis", { n: k + 1 }) }, pick, drawValues(axis, field), drop);
}
function drawValues(axis, field) {
  const set = (values) => { axis.values = values; changed(); };
  if (field.kind === "number") {
    const input = h("input", { class: "sw-input", type: "text", value: axis.values, autocomplete: "off", spellcheck: "false", "aria-label": t("sweep.values", { field: field.label }), placeholder: "1:8:0.5", title: t("sweep.values.hint") });
    input.addEventListener("input", () => set(input.value));
    return h("div", { class: "sw-sweep-values" }, input, h("p", { class: "sw-hint" }, t("sweep.values.hint")));
  }
  if (field.kind === "texts") {
    const area = h("textarea", { class: "sw-input", rows: "3", "aria-label": t("sweep.values", { field: field.label }), placeholder: t("sweep.lines") });
    area.value = axis.values.join("\n");
    area.addEventListener("input", () => set(area.value.split("\n").filter((line) => line.trim())));
    return h("div", { class: "sw-sweep-values" }, area);
  }
  return h("div", { class: "sw-sweep-values sw-chips", role: "group", "aria-label": t("sweep.values", { field: field.label }) }, field.choices.map((name) => {
    const chip = h("button", { type: "button", class: "sw-quiet sw-chip", "aria-pressed": String(axis.values.includes(name)) }, field.word(name));
    chip.onclick = () => {
      const chosen = new Set(axis.values);
      chosen[chosen.has(name) ? "delete" : "add"](name);
      chip.setAttribute("aria-pressed", String(chosen.has(name)));
      set(field.choices.filter((one) => chosen.has(one)));
    };
    return chip;
  }));
}
function draw() {
  const border = borders().find((one) => one.segment === held) ?? borders()[0];
  quick.disabled = !border;
  quick.lastChild.textContent = border ? t("sweep.this", { low: border.low, high: border.high }) : t("sweep.none");
  quick.title = border ? t("sweep.this.hint", { a: border.segment + 1, b: border.segment + 2 }) : t("sweep.none.hint");
}
function show() {
  const view = props.view ?? { cost: "", error: "" };
  cost.textContent = view.error || view.cost;
  cost.classList.toggle("is-wrong", Boolean(view.error));
}

hear("segments", ({ list, chosen, total }) => {
  const before = JSON.stringify(fields()), cut_otherwise = total !== now.total || list.length !== now.list.length;
  now = { list, chosen, total };
  held = Math.min(chosen, Math.max(list.length - 2, 0));
  draw();
  if (open && JSON.stringify(fields()) !== before) drawRows();
  if (cut_otherwise || JSON.stringify({ axes: asked() }) !== sent) changed();
}, element);
hear("border", ({ segment }) => { held = segment; draw(); changed(); }, element);
watch("view", show);
draw();
stepwise.tell("segments?", null, element);
