const { field, h } = stepwise;
const input = h("input", { class: "sw-input", type: "number", inputmode: "decimal", step: "any" });
const restate = field(element, props, input);

function show() {
  if (document.activeElement !== input || Number(input.value) !== props.value) input.value = props.value ?? "";
  input.placeholder = props.ghost ?? "";
}
function set() {
  props.value = input.value === "" || !Number.isFinite(input.valueAsNumber) ? null : input.valueAsNumber;
  trigger("input");
}
input.addEventListener("input", set);
input.addEventListener("blur", show);
input.addEventListener("wheel", (event) => event.preventDefault(), { passive: false }); // scrolling the page must not change a number
// The arrows begin at what the field inherits.
input.addEventListener("keydown", (event) => {
  const by = { ArrowUp: 1, ArrowDown: -1 }[event.key];
  if (!by) return;
  event.preventDefault();
  const from = input.value === "" ? parseFloat(input.placeholder) : input.valueAsNumber;
  if (!Number.isFinite(from)) return;
  input.value = String(Math.round((from + by * props.step) * 1000) / 1000);
  set();
});
watch(["value", "ghost"], show);
watch("reason", restate);
show();
