const { field, h, hear, t, tell } = stepwise;
const area = h("textarea", { class: "sw-input", rows: String(props.lines ?? 3), spellcheck: "false", placeholder: props.placeholder_key ? t(props.placeholder_key) : "" });
const restate = field(element, props, area);

// Grows with its text, never below its first size.
function fit() {
  area.style.height = "auto";
  if (area.scrollHeight) area.style.height = `${Math.min(area.scrollHeight + 2, 360)}px`;
}

// Ctrl+Up and Ctrl+Down: weight of the selection by 0.1, as users know it.
function weigh(step) {
  let { selectionStart: from, selectionEnd: to, value } = area;
  if (from === to) {
    while (from > 0 && /[^\s,()]/.test(value[from - 1])) from--;
    while (to < value.length && /[^\s,()]/.test(value[to])) to++;
  }
  if (from === to) return;
  const before = value.slice(0, from), inside = value.slice(from, to), after = value.slice(to);
  const tail = before.endsWith("(") && after.match(/^:(-?[\d.]+)\)/);
  const weight = Math.round(((tail ? Number(tail[1]) : 1) + step) * 10) / 10;
  const head = tail ? before.slice(0, -1) : before;
  const rest = tail ? after.slice(tail[0].length) : after;
  const plain = weight === 1;
  area.value = head + (plain ? inside : `(${inside}:${weight})`) + rest;
  const start = head.length + (plain ? 0 : 1);
  area.setSelectionRange(start, start + inside.length);
  commit();
}

let typed = false;

function commit() {
  typed = true;
  fit();
  props.value = area.value;
  trigger("input");
}

area.addEventListener("input", commit);
area.addEventListener("keydown", (event) => {
  if (!(event.ctrlKey || event.metaKey) || !["ArrowUp", "ArrowDown"].includes(event.key)) return;
  event.preventDefault();
  weigh(event.key === "ArrowUp" ? 0.1 : -0.1);
});

function show() {
  if (props.ghost !== undefined) area.placeholder = props.ghost;
  // What somebody typed while the page was still being restored is newer than what the browser kept.
  if (typed && !window.stepwise.kept) {
    if (props.value !== area.value) props.value = area.value;
    return;
  }
  if (area.value !== (props.value ?? "")) {
    area.value = props.value ?? "";
    tell("prompt:filled", area.value, element);
  }
  fit();
}

// Of a prompt that can be enriched: whoever does that hears whether it can, and puts another text in its place.
if (props.enrich !== undefined) {
  const say = () => tell("enrich", props.enrich, element);
  hear("enrich?", say, element);
  hear("prompt:put", ({ text, told }) => {
    told(area.value);
    area.value = text;
    commit();
  }, element);
  watch("enrich", say);
  say();
}
watch(["value", "ghost"], show);
watch("reason", restate);
show();
new ResizeObserver(fit).observe(element);
