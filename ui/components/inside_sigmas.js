// All schedules as curves over the steps, the sampler's real evaluations on the chosen one, and every sampler's count as a bar.
const { h, t } = stepwise;
const { svg, figure, pick, entry, head, sight, calm } = stepwise.plot;
const root = element.querySelector(".sw-inside");
const WIDTH = 680, HEIGHT = 320, LEFT = 46, RIGHT = 12, TOP = 12, BOTTOM = 34;

const later = calm(ask);
const model = pick("model", ask);
const scheduler = pick("scheduler", ask);
const sampler = pick("sampler", ask);
const steps = entry("steps", later, { type: "number", min: "1", max: "100", inputmode: "numeric" });
const plot = figure(WIDTH, HEIGHT, t("inside.sigmas.plot"), "");
const names = h("div", { class: "sw-inside-names", role: "group", "aria-label": t("scheduler") });
const legend = h("p", { class: "sw-hint sw-inside-legend" },
  h("span", {}, dot(false), t("inside.sigmas.on")), h("span", {}, dot(true), t("inside.sigmas.off")));
const rows = h("tbody", {});
const table = h("details", { class: "sw-inside-numbers" }, h("summary", {}, t("inside.numbers")),
  h("div", { class: "sw-inside-scroll" }, h("table", {}, h("thead", {}, h("tr", {}, ["scheduler", "inside.sigmas.first", "inside.sigmas.middle", "inside.sigmas.last"].map((key) => h("th", { scope: "col" }, t(key))))), rows)));
const bars = h("ul", { class: "sw-inside-bars" });
const error = h("p", { class: "sw-error", role: "alert", hidden: true });
root.replaceChildren(
  head("sigmas"), h("div", { class: "sw-inside-form" }, model.node, steps.node, sampler.node, scheduler.node), error,
  h("div", { class: "sw-inside-two" },
    h("div", {}, plot.node, legend, names, table),
    h("div", {}, h("h4", {}, t("inside.calls.title")), h("p", { class: "sw-hint" }, t("inside.calls.lead")), bars)));

/** All that is chosen, at once: what still waits would ask for less. */
function ask() {
  later.forget();
  trigger("ask", { model: model.value, sampler: sampler.value, scheduler: scheduler.value, steps: steps.input.value });
}
function dot(hollow) {
  return svg("svg", { viewBox: "0 0 10 10", width: "10", height: "10", "aria-hidden": "true", class: "sw-inside-dot" },
    hollow ? svg("rect", { x: "2", y: "2", width: "6", height: "6", transform: "rotate(45 5 5)", class: "is-between" }) : svg("circle", { cx: "5", cy: "5", r: "3.5", class: "is-mark" }));
}

/** Where a level stands on a schedule: the step, with its fraction. */
function place(levels, sigma, from) {
  for (let k = Math.max(0, from - 1); k + 1 < levels.length; k++) {
    const [high, low] = [levels[k], levels[k + 1]];
    if (sigma > high + 1e-9 || sigma < low - 1e-9) continue;
    if (high === low) return k;
    return low > 0 && sigma > 0 ? k + Math.log(high / sigma) / Math.log(high / low) : k + (high - sigma) / (high - low);
  }
  return from;
}
const near = (levels, sigma) => levels.some((level) => Math.abs(level - sigma) <= 1e-5 * Math.max(level, 1e-9));

function drawPlot(told) {
  const usable = told.curves.filter((curve) => curve.sigmas.length > 1);
  const all = usable.flatMap((curve) => curve.sigmas), count = Math.max(...usable.map((curve) => curve.sigmas.length)) - 1;
  const top = Math.max(...all), least = Math.min(...all.filter((level) => level > 0));
  const floor = HEIGHT - BOTTOM, low = told.flow ? 0 : Math.log10(least) - 0.35, high = told.flow ? Math.max(1, top) : Math.log10(top);
  const x = (step) => LEFT + (step / count) * (WIDTH - LEFT - RIGHT);
  const y = (sigma) => (told.flow ? floor - (sigma / high) * (floor - TOP) : sigma <= 0 ? floor : floor - ((Math.log10(sigma) - low) / (high - low)) * (floor - TOP));
  const levels = told.flow ? [0, 0.25, 0.5, 0.75, 1] : [100, 10, 1, 0.1, 0.01].filter((level) => Math.log10(level) >= low + 0.1 && Math.log10(level) <= high).concat(0);
  const stride = Math.max(1, Math.ceil(count / 10));
  const ticks = Array.from({ length: Math.floor(count / stride) + 1 }, (_, k) => k * stride);
  const line = (curve) => svg("polyline", { points: curve.sigmas.map((sigma, k) => `${x(k).toFixed(1)},${y(sigma).toFixed(1)}`).join(" "), class: curve.name === told.scheduler ? "sw-curve is-chosen" : "sw-curve", "data-name": curve.name }, svg("title", {}, curve.name));
  const chosen = usable.find((curve) => curve.name === told.scheduler);
  const marks = !chosen ? [] : told.marks.map(([step, sigma]) => {
    const cx = x(place(chosen.sigmas, sigma, step)), cy = y(sigma);
    return near(chosen.sigmas, sigma)
      ? svg("circle", { cx, cy, r: 4, class: "is-mark" })
      : svg("rect", { x: cx - 3.6, y: cy - 3.6, width: 7.2, height: 7.2, transform: `rotate(45 ${cx} ${cy})`, class: "is-between" });
  });
  plot.drawing.replaceChildren(
    ...levels.map((level) => svg("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: y(level), y2: y(level), class: "sw-plot-grid" })),
    ...levels.map((level) => svg("text", { x: LEFT - 8, y: y(level) + 4, "text-anchor": "end" }, String(level))),
    ...ticks.map((step) => svg("text", { x: x(step), y: floor + 18, "text-anchor": "middle" }, String(step))),
    svg("text", { x: 8, y: TOP + 2, class: "sw-plot-axis" }, "σ"), svg("text", { x: WIDTH - RIGHT, y: HEIGHT - 2, "text-anchor": "end", class: "sw-plot-axis" }, t("inside.sigmas.step")),
    ...usable.filter((curve) => curve !== chosen).map(line), ...(chosen ? [line(chosen)] : []), ...marks);
}

/** The same buttons at every answer: one that came between pressing and releasing a new one would swallow the click. */
function kept(place, list, name, build, update) {
  const held = (place.held ??= new Map());
  for (const one of list) {
    if (!held.has(name(one))) held.set(name(one), build(name(one)));
    update(held.get(name(one)), one);
  }
  const nodes = list.map((one) => held.get(name(one)).node);
  if (nodes.length !== place.children.length || nodes.some((node, k) => node !== place.children[k])) place.replaceChildren(...nodes);
}

function drawBars(told) {
  const most = Math.max(1, ...told.calls.map((one) => one.calls));
  kept(bars, told.calls, (one) => one.sampler, (name) => {
    const bar = h("span", { class: "sw-inside-bar", "aria-hidden": "true" }), count = h("b", {});
    const button = h("button", { type: "button", onclick: () => sampler.choose(name) }, h("span", { class: "sw-inside-name" }, name), bar, count);
    return { node: h("li", {}, button), button, bar, count };
  }, ({ button, bar, count }, one) => {
    bar.style.setProperty("--share", `${(one.calls / most) * 100}%`);
    button.setAttribute("aria-pressed", String(one.sampler === told.sampler));
    button.title = one.error ?? "";
    count.textContent = one.error ? "–" : String(one.calls);
  });
}

function drawNames(told) {
  kept(names, told.curves, (curve) => curve.name, (name) => ({ node: h("button", {
    type: "button", class: "sw-quiet", onclick: () => scheduler.choose(name),
    onmouseenter: () => light(name, true), onmouseleave: () => light(name, false), onfocus: () => light(name, true), onblur: () => light(name, false),
  }, name) }), ({ node }, curve) => {
    node.disabled = Boolean(curve.error);
    node.title = curve.error ?? "";
    node.setAttribute("aria-pressed", String(curve.name === told.scheduler));
  });
}
function light(name, on) {
  for (const line of plot.drawing.querySelectorAll(".sw-curve")) line.classList.toggle("is-lit", on && line.dataset.name === name);
}

const number = (value) => Number(value.toPrecision(3)).toString();
function drawTable(told) {
  rows.replaceChildren(...told.curves.map((curve) => {
    const levels = curve.sigmas;
    const cells = levels.length ? [levels[0], levels[Math.floor(levels.length / 2)], levels[levels.length - 2]].map(number) : [curve.error, "", ""];
    return h("tr", {}, h("th", { scope: "row" }, curve.name), cells.map((cell) => h("td", {}, cell)));
  }));
}

function told() {
  const value = props.value;
  if (!value) return;
  model.fill(value.models, value.model);
  sampler.fill(value.samplers, value.sampler);
  scheduler.fill(value.schedulers, value.scheduler);
  if (document.activeElement !== steps.input) steps.input.value = value.steps;
  error.hidden = !value.error;
  error.textContent = value.error;
  if (value.error) return;
  plot.words.textContent = value.said;
  drawPlot(value);
  drawNames(value);
  drawTable(value);
  drawBars(value);
}
watch("value", told);
sight(element, () => trigger("ask", {}));
