// A card for each setting: what it is, and a strip of pictures in which it alone is moved.
const { h, t } = stepwise;
const root = element.querySelector(".sw-explainer");

function words(id) {
  const rows = ["low", "high", "none", "usual"].map((part) => [h("dt", {}, t(`explain.${part}`)), h("dd", {}, t(`card.${id}.${part}`))]);
  return h("div", { class: "sw-card-words" },
    h("h3", { id: `card-${id}-title` }, t(`card.${id}.title`)), h("p", {}, t(`card.${id}.what`)), h("p", { class: "sw-card-like" }, t(`card.${id}.like`)), h("dl", {}, rows));
}
const card = (id) => h("li", { class: "sw-card", id: `card-${id}` }, words(id));
root.replaceChildren(
  h("header", {}, h("h2", {}, t("explain.title")), h("p", { class: "sw-hint" }, t("explain.lead"))),
  h("ul", { class: "sw-cards", "aria-label": t("explain.cards") }, props.cards.map(card)),
);
