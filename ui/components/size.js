const { field, h, same, tell, t } = stepwise;
const RATIOS = [[1, 1], [5, 4], [4, 3], [3, 2], [16, 9], [21, 9], [4, 5], [3, 4], [2, 3], [9, 16], [9, 21]];
const MP = 2 ** 20; // 1024 x 1024: the models' sizes are powers of two
const MEGAPIXELS = [0.1, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 2, 2.5];
const FACTORS = [0.25, 0.5, 1, 1.5, 2, 4]; // of the own size of a model that is too small for the smallest of those
const ratio = h("select", { class: "sw-input", "aria-label": t("size.ratio") });
const area = h("select", { class: "sw-input", "aria-label": t("size.area") });
const width = h("input", { class: "sw-input sw-pixels", type: "number", "aria-label": t("size.width") });
const height = h("input", { class: "sw-input sw-pixels", type: "number", "aria-label": t("size.height") });
const swap = h("button", { type: "button", class: "sw-quiet sw-square", title: t("size.swap"), "aria-label": t("size.swap") }, stepwise.icon("M3 6h9L9.5 3.5M13 10H4l2.5 2.5"));
const restate = field(element, props, h("div", { class: "sw-row sw-size-row" }, ratio, area, h("span", { class: "sw-pair" }, width, h("span", { "aria-hidden": "true" }, "×"), height, swap)), { labelled: ratio, group: false });

const round = (pixels) => Math.max(props.multiple, Math.round(pixels / props.multiple) * props.multiple);
const name = ([a, b]) => `${a}:${b}`;
const megapixels = (pixels) => t("size.mp", { mp: (pixels / MP).toLocaleString(stepwise.lang, { maximumFractionDigits: 3 }) });

/** What can be chosen, in pixels; the model's own size is always among them. */
function areas() {
  const { native } = props;
  const listed = native < MEGAPIXELS[0] * MP ? FACTORS.map((factor) => factor * native) : MEGAPIXELS.map((mp) => mp * MP);
  return listed.includes(native) ? listed : [...listed, native].sort((a, b) => a - b);
}

function sides(r, pixels) {
  const wide = Math.sqrt((pixels * r[0]) / r[1]);
  return { width: round(wide), height: round((wide * r[1]) / r[0]) };
}
/** The ratio and area whose rounded sides are these, if any. */
function found({ width, height }) {
  const listed = areas();
  for (const r of RATIOS) for (const a of listed) if (same(sides(r, a), { width, height })) return [r, a];
  return [RATIOS.find(([a, b]) => a * height === b * width), listed.find((a) => a === width * height)];
}
function fill(select, options, chosen) {
  select.replaceChildren(...options.map(([value, label]) => h("option", { value }, label)));
  if (chosen === undefined) select.prepend(h("option", { value: "" }, t("size.custom")));
  select.value = chosen ?? "";
}
function show() {
  const value = props.value ?? {};
  const [r, a] = found(value);
  fill(ratio, RATIOS.map((r) => [name(r), name(r)]), r && name(r));
  fill(area, areas().map((a) => [String(a), megapixels(a)]), a === undefined ? undefined : String(a));
  for (const [box, side] of [[width, "width"], [height, "height"]]) {
    box.step = props.multiple;
    box.min = props.multiple;
    if (document.activeElement !== box) box.value = value[side] ?? "";
  }
  tell("size", value, element);
}
function set(value) {
  props.value = value;
  show();
  trigger("input");
}
const whole = (box) => (/^\d+$/.test(box.value) ? Number(box.value) : null);
const pick = () => {
  const [r0, a0] = found(props.value ?? {});
  const r = RATIOS.find((r) => name(r) === ratio.value) ?? r0 ?? [props.value?.width || 1, props.value?.height || 1];
  set(sides(r, Number(area.value) || a0 || props.value.width * props.value.height || props.native));
};
ratio.addEventListener("change", pick);
area.addEventListener("change", pick);
for (const box of [width, height]) {
  box.addEventListener("input", () => set({ width: whole(width), height: whole(height) }));
  box.addEventListener("blur", show);
  box.addEventListener("wheel", (event) => event.preventDefault(), { passive: false });
}
swap.addEventListener("click", () => set({ width: props.value.height, height: props.value.width }));
watch(["value", "multiple", "native"], show);
watch("reason", restate);
show();
