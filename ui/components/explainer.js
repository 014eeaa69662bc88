// A card for each setting: what it is, and a strip of pictures in which it alone is moved. Strips are made when a card comes
// into sight or its control is touched, one after the other; what anybody made before is there at once.
const { h, t } = stepwise;
const root = element.querySelector(".sw-explainer");
const GRID = "grid", SETTLED = 500, FEWEST = 7; // ms that a card must stand still in sight; places in a row
const USES = { text2image: "use_text2image", lora: "use_lora", split: "use_split" };

const cards = new Map();   // id -> the card's strip
const pictures = new Map(); // key -> what is known of the picture
let model = "", asking = "", wanted = []; // the card that is asked for, and those that come after it

// --- one strip -----------------------------------------------------------------------------------------------------------

/** A strip with its parts; `told` is what the server said of it, `at` the cell looked at. */
function strip(id, title) {
  const range = h("input", { type: "range", min: "0", max: "0", step: "1", "aria-label": title, oninput: () => look(Number(range.value)) });
  const cells = h("div", { class: "sw-strip-cells", role: "group", "aria-label": t("explain.values", { title }) });
  const top = h("div", { class: "sw-strip-top", "aria-hidden": "true" }), left = h("div", { class: "sw-strip-left", "aria-hidden": "true" });
  const image = h("img", { alt: "", draggable: "false" }), over = h("img", { class: "sw-strip-over", alt: "", draggable: "false" });
  const edge = h("span", { class: "sw-strip-edge", "aria-hidden": "true" });
  const frame = h("div", { class: "sw-strip-frame" }, image, over, edge);
  const divider = h("input", { type: "range", min: "0", max: "100", value: "50", class: "is-off", disabled: true, oninput: () => divide() });
  const name = h("b", {}), took = h("span", { class: "sw-hint" });
  const compare = h("button", { type: "button", class: "sw-quiet", "data-act": "compare", "aria-pressed": "false", onclick: () => { comparing = !comparing; draw(); } }, t("explain.compare"));
  const use = h("button", { type: "button", class: "sw-quiet", "data-act": "use", disabled: true, onclick: () => send(USES[mine.told.tab], { at: String(at) }) }, t("explain.use.text2image"));
  const why = h("p", { class: "sw-hint sw-strip-why" }), note = h("p", { class: "sw-hint" });
  const source = h("figure", { class: "sw-strip-source" }, h("img", { alt: t("explain.source") }), h("figcaption", { class: "sw-hint" }, t("explain.source")));
  const state = h("span", { class: "sw-hint", role: "status" });
  const make = h("button", { type: "button", class: "sw-quiet", "data-act": "make", onclick: () => want(id, true) }, t("explain.make"));
  const stop = h("button", { type: "button", class: "sw-quiet", "data-act": "stop", onclick: () => { wanted = []; trigger("halt", {}); } }, t("explain.stop"));
  const bar = h("div", { class: "sw-strip-bar", "aria-hidden": "true" }, h("div", {}));
  const line = h("div", { class: "sw-strip-state" }, state, make, stop);
  const node = h("div", { class: "sw-strip" }, why,
    h("div", { class: "sw-strip-row" }, range, top, left, cells), bar,
    h("div", { class: "sw-strip-look" }, h("figure", {}, frame, divider), h("div", { class: "sw-strip-facts" }, name, took, source, note, h("div", { class: "sw-actions" }, compare, use), line)));
  let at = 0, comparing = false, columns = 0;

  const mine = { id, node, told: null, job: null, tell, news, missing, crossed: null };
  const label = (k) => mine.told.cells[k]?.label ?? "";
  const picture = (k) => pictures.get(mine.told?.cells[k]?.key) ?? null;
  const send = (event, more) => trigger(event, { card: id, model, ...(mine.crossed ?? {}), ...more });

  function look(k, acted = true) {
    at = k;
    if (acted && missing()) want(id, true);
    draw();
  }
  function missing() {
    return mine.told?.cells.some((cell) => !pictures.get(cell.key)?.src) ?? false;
  }
  function tell(told, across = 0) {
    const shape = JSON.stringify([told.cells.map((cell) => cell.label), across]);
    const same = shape === node.dataset.shape;
    mine.told = told;
    if (told.cells.length) learn(told.cells);
    if (!same) {
      node.dataset.shape = shape;
      at = Math.min(told.at, Math.max(0, told.cells.length - 1));
      columns = across;
      comparing = false;
      cells.replaceChildren(...told.cells.map((_, k) => cell(k)));
      for (const [axis, values] of [[top, told.columns], [left, told.rows]]) axis.replaceChildren(...(values ?? []).map((value) => h("span", {}, value)));
      const count = across || Math.max(told.cells.length, 1);
      node.style.setProperty("--columns", String(count));
      node.style.setProperty("--places", String(across ? count : Math.max(count, FEWEST))); // few pictures do not grow large
      range.max = String(told.cells.length - 1);
    }
    draw();
  }
  function news(job) {
    mine.job = job;
    draw();
  }
  function cell(k) {
    const button = h("button", { type: "button", class: "sw-strip-cell", "data-k": String(k), onclick: () => look(k) }, h("img", { alt: "", draggable: "false", loading: "lazy" }), h("span", {}, columns ? "" : label(k)));
    button.addEventListener("keydown", (event) => arrow(event, k));
    return button;
  }
  function arrow(event, k) {
    const by = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns || 0, ArrowUp: -columns || 0 }[event.key];
    if (!by || k + by < 0 || k + by >= cells.children.length) return;
    event.preventDefault();
    look(k + by);
    cells.children[k + by].focus();
  }
  function divide() {
    const share = Number(divider.value);
    over.style.clipPath = `inset(0 0 0 ${share}%)`;
    edge.style.left = `${share}%`;
  }
  function hold(event) {
    if (!comparing || !event.buttons) return;
    const box = frame.getBoundingClientRect();
    divider.value = String(Math.round(((event.clientX - box.left) / box.width) * 100));
    divide();
  }
  frame.addEventListener("pointerdown", (event) => { if (comparing) frame.setPointerCapture(event.pointerId); hold(event); });
  frame.addEventListener("pointermove", hold);

  function draw() {
    const told = mine.told;
    if (!told) return;
    const busy = ["queued", "running", "asked"].includes(mine.job?.state);
    why.textContent = told.problem || told.why;
    note.textContent = told.note;
    for (const part of [why, note]) part.hidden = !part.textContent;
    node.classList.toggle("is-empty", !told.cells.length);
    node.classList.toggle("is-crossed", columns > 0);
    source.hidden = !told.source;
    if (told.source) source.firstChild.src = told.source;
    [...cells.children].forEach((button, k) => fill(button, k));
    range.value = String(at);
    range.hidden = columns > 0;
    range.setAttribute("aria-valuetext", label(at));
    range.style.setProperty("--share", `${(at / Math.max(1, told.cells.length - 1)) * 100}%`);
    drawLook();
    use.textContent = t(`explain.use.${told.tab}`);
    make.hidden = busy || !missing() || !told.cells.length;
    stop.hidden = !busy;
    state.textContent = mine.job?.error || (busy || (mine.job?.state === "done" && mine.job.text) || mine.job?.state === "stopped" ? mine.job.text : "");
    state.classList.toggle("is-error", Boolean(mine.job?.error));
    bar.classList.toggle("is-busy", busy);
    bar.firstChild.style.width = `${(busy ? mine.job.share ?? 0 : 0) * 100}%`;
  }
  function fill(button, k) {
    const found = picture(k), source = found?.thumb || found?.preview || "", img = button.firstChild;
    if (source && img.getAttribute("src") !== source) img.src = source;
    img.hidden = !source;
    button.dataset.kind = found?.src ? "done" : found?.preview ? "preview" : "wait";
    button.setAttribute("aria-pressed", String(k === at));
    button.setAttribute("aria-label", t(found?.src ? "explain.cell" : "explain.cell.wait", { title, label: label(k) }));
    button.title = label(k);
    button.tabIndex = k === at ? 0 : -1;
  }
  function drawLook() {
    const found = picture(at), before = at > 0 && !(columns && at % columns === 0) ? picture(at - 1) : null, source = found?.src || found?.preview || "";
    const pair = comparing && before?.src && found?.src;
    const [below, above] = pair ? [before.src, found.src] : [source, ""];
    if (below && image.getAttribute("src") !== below) image.src = below;
    image.hidden = !below;
    if (above && over.getAttribute("src") !== above) over.src = above;
    image.alt = source ? t("explain.cell", { title, label: pair ? `${label(at - 1)} | ${label(at)}` : label(at) }) : "";
    over.hidden = edge.hidden = !pair;
    divider.classList.toggle("is-off", !pair);
    divider.disabled = !pair;
    divider.setAttribute("aria-label", t("explain.divider", { a: label(Math.max(0, at - 1)), b: label(at) }));
    frame.classList.toggle("is-split", Boolean(pair));
    if (pair) divide();
    compare.setAttribute("aria-pressed", String(Boolean(pair)));
    compare.disabled = !(before?.src && found?.src);
    use.disabled = !mine.told.cells.length;
    name.textContent = pair ? `${label(at - 1)} | ${label(at)}` : t("explain.cell", { title, label: label(at) });
    took.textContent = found?.seconds ? t("explain.cost", { seconds: found.seconds, calls: found.calls }) : "";
  }
  return mine;
}

/** Pictures never change under their key: a finished one stays finished. */
function learn(cells) {
  for (const cell of cells) if (cell.src || !pictures.get(cell.key)?.src) pictures.set(cell.key, cell);
}

// --- asking for strips ---------------------------------------------------------------------------------------------------

/** One is made at a time, so that nobody fills the queue by scrolling; `first`: it was touched, so it is next. */
function want(id, first = false) {
  const card = cards.get(id);
  if (!card?.told || !card.missing() || asking === id || making(card)) return;
  wanted = wanted.filter((other) => other !== id);
  if (first) wanted.unshift(id);
  else wanted.push(id);
  next();
}
const making = (card) => ["queued", "running"].includes(card.job?.state);
function next() {
  if (asking || [...cards.values()].some(making)) return;
  const id = wanted.shift();
  if (id === undefined) return;
  const card = cards.get(id);
  if (!card.missing()) return next();
  asking = id;
  card.news({ state: "asked", text: t("run.sending"), share: 0, error: "" });
  trigger("ask", { card: id, model, ...(card.crossed ?? {}) });
}
const inSight = new Map();
const sight = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    clearTimeout(inSight.get(target));
    const card = cards.get(target.dataset.card);
    if (isIntersecting) inSight.set(target, setTimeout(() => { if (card.told?.auto && !card.job?.error) want(card.id); }, SETTLED));
  }
}, { threshold: 0.3 });

// --- the page ------------------------------------------------------------------------------------------------------------

function words(id, title) {
  const rows = ["low", "high", "none", "usual"].map((part) => h("div", { class: `is-${part}` }, h("dt", {}, t(`explain.${part}`)), h("dd", {}, t(`card.${id}.${part}`))));
  return h("div", { class: "sw-card-words" }, h("h3", { id: `card-${id}-title` }, title), h("p", {}, t(`card.${id}.what`)), h("p", { class: "sw-card-like" }, t(`card.${id}.like`)), h("dl", {}, rows));
}
function card(id) {
  const title = t(`card.${id}.title`), mine = strip(id, title);
  cards.set(id, mine);
  return h("li", { class: "sw-card", id: `card-${id}`, "data-card": id, "aria-labelledby": `card-${id}-title` }, words(id, title), mine.node);
}
function select(label) {
  const control = h("select", { class: "sw-input" });
  return [h("label", { class: "sw-card-choice" }, h("span", { class: "sw-label" }, label), control), control];
}
const [modelChoice, models] = select(t("explain.model"));
models.addEventListener("change", () => { model = models.value; wanted = []; trigger("look", { model }); });
models.id = "explainer-model";
const every = h("button", { type: "button", class: "sw-quiet", id: "explainer-every", onclick: () => { for (const id of [...props.ids, GRID]) want(id); } }, t("explain.every"));

const crossed = strip(GRID, t("explain.grid"));
cards.set(GRID, crossed);
const [acrossChoice, across] = select(t("explain.grid.x")), [downChoice, down] = select(t("explain.grid.y"));
let pairs = {};
const title = (name) => t(`card.${name}.title`);
function options(control, names, chosen) {
  control.replaceChildren(...names.map((name) => h("option", { value: name }, name === "demo" || !props.ids.includes(name) ? name : title(name))));
  control.value = names.includes(chosen) ? chosen : names[0];
}
function cross() {
  options(down, pairs[across.value] ?? [], down.value || "steps");
  crossed.crossed = { x: across.value, y: down.value };
  trigger("cross", { model, ...crossed.crossed });
}
across.addEventListener("change", cross);
down.addEventListener("change", cross);

root.replaceChildren(
  h("header", { class: "sw-explainer-head" }, h("div", {}, h("h2", {}, t("explain.title")), h("p", { class: "sw-hint" }, t("explain.lead"))), h("div", { class: "sw-actions" }, modelChoice, every)),
  h("ul", { class: "sw-cards", "aria-label": t("explain.cards") }, props.ids.map(card)),
  h("section", { class: "sw-card sw-card-grid", id: "card-grid", "data-card": GRID }, h("div", { class: "sw-card-words" }, h("h3", {}, t("explain.grid")), h("p", {}, t("explain.grid.lead")), h("div", { class: "sw-card-axes" }, acrossChoice, downChoice)), crossed.node),
);

function shown() {
  const told = props.shown;
  if (!told) return;
  ({ model, pairs } = told);
  models.replaceChildren(...told.models.map((name) => h("option", { value: name }, name)));
  models.value = model;
  for (const id of props.ids) cards.get(id).tell(told.cards[id]);
  if (!across.options.length) {
    options(across, Object.keys(pairs), "cfg");
    cross();
  }
  for (const part of root.querySelectorAll("[data-card]")) seen(part);
}
/** Tells anew whether this card is in sight. */
function seen(part) {
  sight.unobserve(part);
  sight.observe(part);
}
function shownCrossed() {
  const told = props.crossed;
  if (told && told.x === across.value && told.y === down.value) {
    crossed.tell(told, told.columns.length);
    seen(root.querySelector("#card-grid"));
  }
}
function asked() {
  const told = props.asked;
  if (!told) return;
  learn(told.cells);
  const mine = cards.get(told.card || asking);
  if (mine && (told.error || !mine.missing())) mine.news({ state: told.error ? "failed" : "", text: "", share: 0, error: told.error });
  else if (mine?.job?.state === "asked") mine.news({ state: "queued", text: t("explain.wait"), share: 0, error: "" });
  asking = "";
  next();
}
function told() {
  const news = props.value;
  if (!news) return;
  learn(Object.entries(news.cells).map(([key, cell]) => ({ key, ...cell })));
  for (const job of Object.values(news.jobs)) cards.get(job.name)?.news(job);
  for (const mine of cards.values()) if (!news.jobs[mine.id]) mine.news(mine.job);
  next();
}
watch("shown", shown);
watch("crossed", shownCrossed);
watch("asked", asked);
watch("value", told);
setTimeout(() => trigger("look", { model }), 60);
