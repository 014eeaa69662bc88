// A run seen from inside: noisy latent and estimate side by side at each step, where guidance leads, the text by layers, and an
// image of a batch alone. Each is a look that the queue makes; one at a time.
const { h, t } = stepwise;
const { svg, figure, pick, entry, head, sight } = stepwise.plot;
const root = element.querySelector(".sw-inside");
const WIDTH = 420, HEIGHT = 280, PAD = 30, ABOVE = 56; // the names of three arrows stand above them
const KINDS = ["trace", "layers", "pair"];

let busy = "", job = "", seen = {}, at = 0, tried = 0, follow = true;

const model = pick("model", () => {});
const prompt = entry("prompt", () => {}, { maxlength: "2000" });
const seed = entry("seed", () => {}, { inputmode: "numeric", maxlength: "20", value: "1234" });
const error = h("p", { class: "sw-error", role: "alert", hidden: true });
const state = h("span", { class: "sw-hint", role: "status" });
const halt = h("button", { type: "button", class: "sw-quiet", hidden: true, onclick: () => trigger("halt", { job }) }, t("inside.stop"));
const buttons = Object.fromEntries(KINDS.map((kind) => [kind, h("button", { type: "button", class: kind === "trace" ? "sw-go sw-small" : "sw-quiet", onclick: () => look(kind) }, t(`inside.${kind}.look`))]));

// the film
const range = h("input", { type: "range", min: "0", max: "0", step: "1", "aria-label": t("inside.trace.scrub"), oninput: () => { follow = false; at = Number(range.value); drawTrace(); } });
const latent = h("img", { alt: "", draggable: "false" }), estimate = h("img", { alt: "", draggable: "false" });
const where = h("p", { class: "sw-inside-said", "aria-live": "polite" });
const strips = { latent: h("div", { class: "sw-inside-strip" }), estimate: h("div", { class: "sw-inside-strip" }) };
const picture = (image, key) => h("figure", {}, image, h("figcaption", { class: "sw-hint" }, t(key)));
const film = h("div", { class: "sw-inside-film", hidden: true },
  h("div", { class: "sw-inside-pictures" }, picture(latent, "inside.trace.latent"), picture(estimate, "inside.trace.estimate")),
  h("div", { class: "sw-inside-side" }, where, range,
    h("div", { class: "sw-inside-rows", "aria-hidden": "true" }, strips.latent, strips.estimate)));

// the arrows
const plot = figure(WIDTH, HEIGHT, t("inside.arrows.plot"), "");
const scale = h("input", { type: "range", min: "0", max: "0", step: "1", oninput: () => { tried = Number(scale.value); drawArrows(); } });
const amount = h("label", { class: "sw-label", for: "inside-cfg" }, "");
scale.id = "inside-cfg";
const small = ["negative", "positive", "result"].map((name) => ({ name, image: h("img", { alt: "", draggable: "false" }) }));
const off = h("p", { class: "sw-note", hidden: true }, t("inside.arrows.none"));
const guided = h("div", { class: "sw-inside-two" }, h("div", {}, plot.node), h("div", { class: "sw-inside-column" },
  h("div", { class: "sw-inside-field" }, amount, scale), h("div", { class: "sw-inside-three" }, small.map(({ name, image }) => h("figure", { "data-name": name }, image, h("figcaption", { class: "sw-hint" }, t(`inside.arrows.${name}`)))))));
const arrows = h("div", { class: "sw-inside-part", hidden: true }, h("h4", {}, t("inside.arrows.title")), h("p", { class: "sw-hint" }, t("inside.arrows.lead")), off, guided);

const layers = h("div", { class: "sw-inside-part", hidden: true }), pair = h("div", { class: "sw-inside-part", hidden: true });
root.replaceChildren(
  h("h2", {}, t("inside.title")), h("p", { class: "sw-hint" }, t("inside.lead")),
  head("trace"), h("div", { class: "sw-inside-form" }, model.node, h("div", { class: "sw-inside-long" }, prompt.node), seed.node),
  h("div", { class: "sw-actions" }, KINDS.map((kind) => buttons[kind]), halt, state), error, film, arrows, layers, pair);

function look(kind) {
  if (busy) return;
  busy = kind;
  follow = true;
  delete seen[kind];
  error.hidden = true;
  trigger("look", { kind, model: model.value, prompt: prompt.input.value, seed: seed.input.value.trim() });
  state.textContent = t("inside.wait");
  buttonsNow();
}
function buttonsNow() {
  for (const kind of KINDS) buttons[kind].disabled = Boolean(busy);
  halt.hidden = !busy || !job;
}

// --- noise to picture ----------------------------------------------------------------------------------------------------

function strip(node, stands, name) {
  while (node.children.length > stands.length) node.lastChild.remove();
  stands.forEach((stand, k) => {
    let image = node.children[k];
    if (!image) {
      image = h("img", { alt: "", draggable: "false", onclick: () => { follow = false; at = k; drawTrace(); } });
      node.append(image);
    }
    const src = stand[name] || stand.latent;
    if (image.getAttribute("src") !== src) image.src = src;
    image.classList.toggle("is-here", k === at);
  });
}
function drawTrace() {
  const found = seen.trace, stands = found?.stands ?? [];
  film.hidden = arrows.hidden = !stands.length;
  if (!stands.length) return;
  at = Math.min(at, stands.length - 1);
  const stand = stands[at];
  range.max = String(stands.length - 1);
  range.value = String(at);
  range.style.setProperty("--share", `${stands.length > 1 ? (at / (stands.length - 1)) * 100 : 0}%`);
  const said = stand.estimate ? t("inside.trace.said", { step: stand.step, steps: found.steps, sigma: stand.sigma }) : t("inside.trace.end", { steps: found.steps });
  range.setAttribute("aria-valuetext", said);
  where.textContent = said;
  latent.src = stand.latent;
  estimate.src = stand.estimate || stand.latent;
  latent.alt = t("inside.trace.latent.alt", { step: stand.step });
  estimate.alt = t("inside.trace.estimate.alt", { step: stand.step });
  for (const name of ["latent", "estimate"]) strip(strips[name], stands, name);
  drawArrows();
}

// --- guidance ------------------------------------------------------------------------------------------------------------

/** x below, the three on a line above it. Sideways and upwards have scales of their own; the words say how far that stretches. */
function drawArrows() {
  const stands = seen.trace.stands, stand = stands[at].arrows ? stands[at] : stands[at - 1] ?? stands[at];
  const found = stand.arrows;
  off.hidden = Boolean(found);
  guided.hidden = !found;
  if (!found) return;
  scale.max = String(stand.tries.length - 1);
  if (scale.dataset.of !== seen.trace.seed + seen.trace.prompt) {
    scale.dataset.of = seen.trace.seed + seen.trace.prompt;
    tried = stand.tries.findIndex((one) => one.cfg === seen.trace.cfg);
  }
  tried = Math.max(0, Math.min(tried, stand.tries.length - 1));
  const chosen = stand.tries[tried], far = Math.max(...stand.tries.map((one) => one.cfg));
  scale.value = String(tried);
  scale.style.setProperty("--share", `${(tried / (stand.tries.length - 1)) * 100}%`);
  scale.setAttribute("aria-valuetext", `cfg ${chosen.cfg}`);
  amount.textContent = chosen.cfg === seen.trace.cfg ? t("inside.arrows.own", { cfg: chosen.cfg }) : `cfg ${chosen.cfg}`;
  const spots = { x: [0, 0], negative: [found.along, found.across], positive: [found.along + found.gap, found.across], result: [found.along + chosen.cfg * found.gap, found.across] };
  const left = Math.min(0, found.along), right = Math.max(0, found.along + far * found.gap);
  const wide = (WIDTH - 2 * PAD) / Math.max(right - left, 1e-9), high = (HEIGHT - PAD - ABOVE) / Math.max(found.across, 1e-9);
  const px = ([a, b]) => [PAD + (a - left) * wide, HEIGHT - PAD - b * high];
  const arrow = (from, to, name) => {
    const [[ax, ay], [bx, by]] = [px(from), px(to)], turn = Math.atan2(by - ay, bx - ax), size = 9;
    const tip = [[bx, by], [bx - size * Math.cos(turn - 0.4), by - size * Math.sin(turn - 0.4)], [bx - size * Math.cos(turn + 0.4), by - size * Math.sin(turn + 0.4)]];
    return [svg("line", { x1: ax, y1: ay, x2: bx, y2: by, class: `sw-arrow is-${name}` }), svg("polygon", { points: tip.map((one) => one.map((v) => v.toFixed(1)).join(",")).join(" "), class: `sw-arrow-tip is-${name}` })];
  };
  const [nx, ny] = px(spots.negative), [ex] = px([found.along + far * found.gap, found.across]);
  const label = (name, [x, y], dy) => svg("text", { x: Math.min(Math.max(x, 30), WIDTH - 34), y: y + dy, "text-anchor": "middle", class: `is-${name}` }, name === "x" ? t("inside.arrows.x") : t(`inside.arrows.${name}`));
  plot.drawing.replaceChildren(
    svg("line", { x1: nx, y1: ny, x2: ex, y2: ny, class: "sw-plot-grid" }),
    ...arrow(spots.x, spots.negative, "negative"), ...arrow(spots.x, spots.positive, "positive"), ...arrow(spots.x, spots.result, "result"),
    label("negative", px(spots.negative), -8), label("positive", px(spots.positive), -24), ...(chosen.cfg > 1 ? [label("result", px(spots.result), -40)] : []), label("x", px(spots.x), 18));
  const stretch = wide / high;
  const drawn = stretch > 1.05 ? t("inside.arrows.stretched", { times: stretch.toPrecision(2) }) : stretch < 0.95 ? t("inside.arrows.squeezed", { times: (1 / stretch).toPrecision(2) }) : "";
  plot.words.textContent = `${chosen.said} ${drawn}`;
  const shown = { negative: stand.tries.find((one) => one.cfg === 0), positive: stand.tries.find((one) => one.cfg === 1), result: chosen };
  for (const { name, image } of small) {
    image.src = shown[name].src;
    image.alt = t(`inside.arrows.${name}`);
  }
}

// --- layers, and a batch -------------------------------------------------------------------------------------------------

function drawLayers() {
  const found = seen.layers;
  layers.hidden = !found;
  if (!found) return;
  const tokens = found.layers[0].likeness.length, cell = 8, row = 20;
  const least = Math.min(...found.layers.flatMap((one) => one.likeness));
  const plotted = figure(tokens * cell, found.layers.length * row, t("inside.layers.plot"), found.layers.map((one) => one.said).join(" "));
  plotted.drawing.classList.add("sw-inside-heat");
  plotted.drawing.setAttribute("preserveAspectRatio", "none");
  plotted.drawing.style.setProperty("--rows", String(found.layers.length));
  plotted.drawing.replaceChildren(...found.layers.flatMap((one, y) => one.likeness.map((value, x) => {
    const box = svg("rect", { x: x * cell, y: y * row, width: cell - 1, height: row - 2 }, svg("title", {}, t("inside.layers.cell", { skip: one.skip, token: x, likeness: value, length: one.lengths[x] })));
    box.style.setProperty("--share", `${least < 1 ? ((1 - value) / (1 - least)) * 100 : 0}%`);
    return box;
  })));
  const names = h("ol", { class: "sw-inside-skips", "aria-hidden": "true" }, found.layers.map((one) => h("li", {}, t("inside.layers.skip", { skip: one.skip }))));
  layers.replaceChildren(h("h4", {}, t("inside.layers.title")), h("p", { class: "sw-hint" }, t("inside.layers.lead", { own: found.own })), h("div", { class: "sw-inside-heats" }, names, plotted.node));
}
function drawPair() {
  const found = seen.pair;
  pair.hidden = !found;
  if (!found) return;
  pair.replaceChildren(h("h4", {}, t("inside.pair.title")), h("p", { class: "sw-hint" }, t("inside.pair.lead")),
    h("div", { class: "sw-inside-three" }, found.runs.map((one) => h("figure", {}, h("img", { src: one.src, alt: one.title }), h("figcaption", {}, one.title, h("b", { class: one.same ? "is-same" : "" }, one.way === "alone" ? "" : one.said))))));
}

// --- what is told --------------------------------------------------------------------------------------------------------

function told() {
  const value = props.value;
  if (!value) return;
  if (value.models) {
    model.fill(value.models, value.model);
    prompt.input.value = value.prompt;
    return;
  }
  busy = value.running ? value.kind : "";
  job = value.running ? value.job : "";
  state.textContent = value.said;
  error.hidden = !value.error;
  error.textContent = value.error;
  buttonsNow();
  if (!value.seen) return;
  seen[value.kind] = structuredClone(value.seen); // the next news is written into this very value
  if (value.kind === "trace" && follow) at = value.seen.stands.length - 1;
  ({ trace: drawTrace, layers: drawLayers, pair: drawPair })[value.kind]();
}
watch("value", told);
sight(element, () => trigger("ask", {}));
