const { field, h, hear, t, tell } = stepwise;
const number = h("input", { class: "sw-input sw-number", type: "number", inputmode: "decimal", step: "any" });
const range = h("input", { type: "range", min: props.low, max: props.high, step: props.step, "aria-label": t(props.label_key) });
const restate = field(element, props, range, { inline: [number], labelled: number });

function show() {
  const value = props.value;
  if (document.activeElement !== number) number.value = value ?? "";
  range.value = value ?? props.low;
  const share = (Math.min(Math.max(value ?? props.low, props.low), props.high) - props.low) / (props.high - props.low);
  range.style.setProperty("--share", `${share * 100}%`);
  tell(`slide:${props.label_key}`, value, element); // for what is shown along the steps of the run
}
function set(value) {
  props.value = value;
  show();
  trigger("input");
}
range.addEventListener("input", () => {
  set(Number(range.value));
  number.value = range.value;
});
number.addEventListener("input", () => set(number.value === "" || !Number.isFinite(Number(number.value)) ? null : Number(number.value)));
number.addEventListener("blur", show);
number.addEventListener("wheel", (event) => event.preventDefault(), { passive: false }); // scrolling the page must not change a number
hear(`slide:${props.label_key}?`, show, element);
watch("value", show);
watch("reason", restate);
show();
