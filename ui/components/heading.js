// What a block of fields is about: the chosen segment, or what `text_key` says.
const { h, hear, t } = stepwise;
const root = element.querySelector(".sw-heading");
const words = h("h2", {}, props.text_key ? t(props.text_key) : "");
const which = h("span", { class: "sw-hint" });
root.replaceChildren(words, which);
if (!props.text_key) {
  hear("segments", ({ list, chosen, total }) => {
    const { start, end } = stepwise.segments.places(list, total)[chosen];
    words.textContent = t("heading.segment", { n: chosen + 1, of: list.length });
    which.textContent = end > start ? t("heading.steps", { first: start, last: end - 1 }) : t("heading.none");
    root.dataset.hue = String(chosen % 7);
  }, element);
  stepwise.tell("segments?", null, element);
}
