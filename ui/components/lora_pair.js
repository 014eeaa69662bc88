// Without the LoRAs in use, with them, and the difference: directly under the picture.
const { h, hear, t, tell } = stepwise;
const root = element.querySelector(".sw-lora-pair");
const NAMES = ["without", "with", "difference"];
const figures = NAMES.map((name) => h("figure", { "data-name": name }, h("img", { id: `lora-compared-${name}`, alt: t(`lora.pair.${name}`), draggable: "false", hidden: true }), h("figcaption", {}, t(`lora.pair.${name}`))));
const make = h("button", { type: "button", class: "sw-quiet", id: "lora-pair", title: t("lora.pair.hint"), onclick: () => trigger("sweep", { kind: "pair", seed }) }, t("lora.pair"));
const number = h("p", { class: "sw-sweep-number", id: "lora-difference", role: "status" });
const three = h("div", { class: "sw-sweep-pair", hidden: true }, ...figures, number);
root.replaceChildren(h("div", { class: "sw-actions" }, make), three);

let pair = null;     // the sweep of two that is shown
let past = "";       // one that a newer picture on the stage has made old
let seed = "";       // of the picture on the stage
let run = null;      // the run on the stage
let compared = "";   // the pictures that were compared last
let measured = "";   // what came of it

const picture = (index) => pair?.cells.find((one) => one.place[0] === index);

function draw() {
  three.hidden = !pair;
  if (!pair) return;
  [picture(0), picture(1)].forEach((one, k) => {
    const image = figures[k].firstChild;
    image.hidden = !one?.src;
    if (one?.src && image.getAttribute("src") !== one.src) image.src = one.src;
    figures[k].dataset.kind = one?.kind ?? "wait";
    figures[k].style.setProperty("--shape", one ? `${one.width} / ${one.height}` : "1");
    figures[2].style.setProperty("--shape", one ? `${one.width} / ${one.height}` : "1");
  });
  const ids = [picture(0)?.id, picture(1)?.id];
  if (ids[0] && ids[1] && String(ids) !== compared) {
    compared = String(ids);
    measured = "";
    trigger("compare", { a: ids[0], b: ids[1] });
  } else if (String(ids) !== compared) {
    number.textContent = pair.state === "failed" || pair.state === "stopped" ? t("lora.pair.none") : t("lora.pair.making");
    figures[2].firstChild.hidden = true;
  } else if (measured) number.textContent = `${measured} ${pair.text}`; // what it took is told at the job's end, after both pictures
}
function told() {
  const next = props.value;
  if (!next?.pair || next.id === past) return;
  if (next.id !== pair?.id) number.textContent = "";
  pair = next;
  draw();
}
function showCompared() {
  const found = props.compared;
  if (!found || String([found.a, found.b]) !== compared) return;
  measured = found.error || found.text;
  number.textContent = `${measured} ${pair?.text ?? ""}`;
  number.dataset.rms = found.rms ?? "";
  figures[2].firstChild.hidden = !found.src;
  if (found.src) figures[2].firstChild.src = found.src;
}
hear("loras", (count) => { make.disabled = count === 0; }, element);
hear("seed", (value) => { seed = value; }, element);
hear("run", (next) => {
  if (next && run && next.id !== run.id && pair) {
    past = pair.id;
    pair = null;
    draw();
  }
  run = next ?? run;
}, element);
watch("value", told);
watch("compared", showCompared);
tell("under", root, element); // directly under the picture
draw();
told();
