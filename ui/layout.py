"""The page: tabs, and which event reaches which handler."""

from typing import Any

import gradio as gr

from ui import desks, enriching, explainer, form, lora, session, split, texts, variety, wires
from ui.browsing import Browsing
from ui.components.panels import Header, Wall
from ui.context import Context
from ui.continuing import Continuing
from ui.desks import Desk
from ui.explainer import inside
from ui.making import Making
from ui.models import Storeroom
from ui.opening import Opening, presets_of, read_presets
from ui.served import Served
from ui.sweep import Sweeping
from ui.tabs import explainer as explainer_tab
from ui.tabs import gallery, models, text2image
from ui.tabs import lora as lora_tab
from ui.tabs import split as split_tab
from ui.tabs import variety as variety_tab
from ui.tabs.models import Models
from ui.tabs.text2image import Text2Image
from ui.texts import label
from ui.wires import LATEST, LOCAL, NOW, WATCHING

KEEP_COPIES = (3600, 86400)  # seconds: how often copies of pictures are swept, and how old they get
# A moment later, when the restored values have reached the controls.
KEPT = "() => { setTimeout(() => { stepwise.kept = true; }, 100); }"


def build(context: Context) -> gr.Blocks:
    """The whole page, wired. Raises RecipeError for a broken preset."""
    served, presets = Served(), read_presets(context.presets)
    varied = variety.Varied(context, served)
    making, browsing = Making(context, served, desks=3, sweeps=2, panels=[varied]), Browsing(context, served)
    first, cut = form.first_values(context), split.first_values(context, presets)
    with gr.Blocks(
        title=texts.of("en")("page.title"), analytics_enabled=False, fill_width=True, delete_cache=KEEP_COPIES
    ) as page:
        kept = session.browser_state()
        Header(elem_id="top", guarded=context.guarded)
        with gr.Tabs(selected="text2image", elem_id="tabs") as tabs:
            with gr.Tab(label("tab.text2image"), id="text2image", elem_id="tab-text2image"):
                studio = text2image.build(first, presets_of(presets, "text2image"))
            with gr.Tab(label("tab.lora"), id="lora", elem_id="tab-lora", render_children=True) as shelf_tab:
                shelf = lora_tab.build(lora.first_values(context), presets_of(presets, "lora"))
            with gr.Tab(label("tab.split"), id="split", elem_id="tab-split", render_children=True):
                bench = split_tab.build(cut, split.experiments(context, presets))
            with gr.Tab(label("tab.variety"), id="variety", elem_id="tab-variety", render_children=True):
                starts = variety_tab.build(variety.first_values(context), presets_of(presets, "variety"))
            with gr.Tab(label("tab.explainer"), id="explainer", elem_id="tab-explainer"):
                cards = explainer_tab.build(context)
            with gr.Tab(label("tab.models"), id="models", elem_id="tab-models") as models_tab:
                library = models.build()
            with gr.Tab(label("tab.gallery"), id="gallery", elem_id="tab-gallery") as gallery_tab:
                album = gallery.build()
        opening = Opening(context, studio.form, presets, making)
        splitting = split.Splitting(context, bench, presets, making)
        shelving = lora.Shelving(context, shelf, presets, making, served)
        shown = [part for desk in (studio, bench, shelf) for part in (desk.stage, desk.bar)] + [bench.sweep, shelf.pair]
        shown += [starts.bar, starts.pictures]
        varying = variety.Varying(context, starts.form, presets, making, varied)
        for desk in (studio, bench, shelf):
            wires.making(desk.form, desk.bar, making, kept, shown)
            wires.keeping(desk.form, kept)
        sweeping = Sweeping(context=context, served=served, table=bench.form.table)
        _wire_sweep(bench, sweeping, splitting, making, kept, shown)
        _wire_continuing(
            album, studio, bench, shelf, Continuing(context, splitting), splitting, making, kept, shown, tabs
        )
        restored = _wire_restoring(
            page, studio, bench, shelf, (opening, splitting, shelving), making, kept, shown, starts, varying
        )
        for desk in (studio, starts):
            enriching.wire(desk.enrich, desk.form, context, kept, restored)
        _wire_opening(studio, opening, kept, first["model"])
        split.wire(bench, splitting, kept, cut["model"])
        lora.wire(shelf, shelving, shelf_tab, kept)
        variety.wire(starts, varying, making, kept, shown)
        wires.keeping(starts.form, kept)
        _wire_lora_sweeps(shelf, shelving, sweeping, making, kept, shown, tabs)
        _wire_gallery(gallery_tab, album.wall, browsing, kept)
        places = _desks(studio, bench, shelf, starts, (opening, splitting, shelving), varying)
        desks.wire(places, [album.wall], kept, tabs)
        room = Storeroom(context, (studio.form, bench.form))
        _wire_explainer(
            cards,
            explainer.Explaining(context, served),
            (studio, bench, shelf),
            (opening, splitting, shelving),
            kept,
            tabs,
        )
        inside.wire(cards.inside, context, kept)
        _wire_models(models_tab, library, room, opening, splitting, studio, bench, kept)
    return page


def _wire_restoring(
    page: gr.Blocks, studio: Text2Image, bench: split_tab.Split, shelf: lora_tab.LoraTab,
    openings: tuple[Opening, split.Splitting, lora.Shelving], making: Making, kept: gr.BrowserState, shown: list[Any],
    starts: variety_tab.Variety, varying: variety.Varying,
) -> Any:  # fmt: skip
    """A page that opens finds its forms as they were, and what is in the making."""
    opening, splitting, shelving = openings
    restored = page.load(opening.restore, kept, _restored(studio, kept), **NOW)
    restored = split.shown_by(restored.then(splitting.restore, kept, _restored(bench, kept), **NOW), bench, splitting)
    restored = restored.then(shelving.restore, kept, _restored(shelf, kept), **NOW)
    restored = restored.then(varying.restore, kept, _restored(starts, kept), **NOW)
    restored.then(None, None, None, js=KEPT, **LOCAL)
    restored.then(varying.asked, starts.form.inputs, starts.ask, **NOW)
    restored.then(making.resume, kept, shown, **WATCHING)
    return restored


def _restored(desk: Any, kept: gr.BrowserState) -> list[Any]:
    return [kept, *desk.form.inputs, desk.bar, desk.stage, *desk.form.drawers.values()]


def _desks(
    studio: Text2Image, bench: split_tab.Split, shelf: lora_tab.LoraTab, starts: variety_tab.Variety,
    openings: tuple[Opening, split.Splitting, lora.Shelving], varying: variety.Varying,
) -> list[Desk]:  # fmt: skip
    """The tabs that a picture's settings can be opened in."""
    opening, splitting, shelving = openings
    return [
        Desk(name="text2image", form=studio.form, bar=studio.bar, pictures=studio.stage, opening=opening),
        Desk(name="lora", form=shelf.form, bar=shelf.bar, pictures=shelf.stage, opening=shelving, look=lora.AGAIN),
        Desk(
            name="split", form=bench.form, bar=bench.bar, pictures=bench.stage, opening=splitting,
            settled=lambda opened: split.shown_by(opened, bench, splitting),
        ),
        Desk(
            name="variety", form=starts.form, bar=starts.bar, pictures=starts.pictures, opening=varying,
            settled=lambda opened: variety.settled_by(opened, starts, varying),
        ),
    ]  # fmt: skip


def _wire_lora_sweeps(
    shelf: lora_tab.LoraTab, shelving: lora.Shelving, sweeping: Sweeping, making: Making, kept: gr.BrowserState,
    shown: list[Any], tabs: gr.Tabs,
) -> None:  # fmt: skip
    """Sweeps of LoRAs are watched where all sweeps are, under the split tab's picture; without and with, under their own."""
    for panel, place in ((shelf.sweeps, "split"), (shelf.pair, "lora")):
        job = gr.State("")
        filed = panel.sweep(shelving.sweep, [kept, *shelf.form.inputs], [shelf.bar, job], **NOW)
        filed.then(lambda id, place=place: gr.update(selected=place if id else "lora"), job, tabs, **NOW)
        wires.watched(filed, shelf.bar, job, making, kept, shown)
    shelf.pair.compare(sweeping.compare, kept, shelf.pair, **NOW)


def _wire_sweep(
    bench: split_tab.Split, sweeping: Sweeping, splitting: split.Splitting, making: Making, kept: gr.BrowserState,
    shown: list[Any],
) -> None:  # fmt: skip
    asked, job = bench.sweep_form, gr.State("")
    asked.input(sweeping.look, [asked, *bench.form.inputs], asked, **LATEST)
    filed = asked.sweep(sweeping.submit, [kept, asked, *bench.form.inputs], [bench.bar, job], **NOW)
    wires.watched(filed, bench.bar, job, making, kept, shown)
    bench.sweep.compare(sweeping.compare, kept, bench.sweep, **NOW)
    bench.sweep.save(sweeping.save, kept, bench.sweep, **NOW)
    split.shown_by(wires.opens(bench.form, bench.bar, kept, bench.sweep.reuse, splitting.item, kept), bench, splitting)


def _wire_continuing(
    album: gallery.GalleryTab, studio: Text2Image, bench: split_tab.Split, shelf: lora_tab.LoraTab, continuing: Continuing,
    splitting: split.Splitting, making: Making, kept: gr.BrowserState, shown: list[Any], tabs: gr.Tabs,
) -> None:  # fmt: skip
    """From a step of a run on, in the split tab, wherever the run was seen."""

    def shows(event: Any) -> None:
        event.then(lambda: gr.update(selected="split"), None, tabs, **NOW)

    for stage in (studio.stage, bench.stage, shelf.stage):
        opened = wires.opens(bench.form, bench.bar, kept, stage.go_on, continuing.from_film, kept)
        shows(split.shown_by(opened, bench, splitting))
        job = gr.State("")
        filed = stage.more(continuing.more, kept, [bench.bar, job], **NOW)
        shows(filed)
        wires.watched(filed, bench.bar, job, making, kept, shown)
    opened = wires.opens(bench.form, bench.bar, kept, album.kept.from_disk, continuing.from_disk, None)
    shows(split.shown_by(opened, bench, splitting))
    album.drawer.expand(continuing.listed, None, album.kept, **NOW)
    album.kept.remove(continuing.delete, None, album.kept, **NOW)


def _wire_opening(studio: Text2Image, opening: Opening, kept: gr.BrowserState, first_model: str) -> None:
    controls, bar, model = studio.form.controls, studio.bar, gr.State(first_model)
    wires.opens(studio.form, bar, kept, studio.presets.opened, opening.preset, None)
    wires.opens(studio.form, bar, kept, studio.stage.opened, opening.upload, None)
    wires.opens(studio.form, bar, kept, studio.stage.reuse, opening.item, kept)
    init = [controls["init"], controls["denoise"]]
    used = studio.stage.as_input(opening.as_input, kept, [*init, studio.form.drawers["init"], bar], **NOW)
    chosen = controls["init"].chosen(opening.chosen_input, None, [*init, bar], **NOW)
    drawn = used.then(None, kept, kept, js=wires.drawer("init", open=True), **LOCAL)
    for event in (drawn, chosen):
        wires.kept_by(event, studio.form, kept)
    changed = controls["model"].input(
        opening.other_model, [model, *studio.form.inputs], [*studio.form.inputs, model], **LATEST
    )
    settled = [*studio.form.inputs, studio.form.drawers["negative"]]
    wires.kept_by(changed.then(opening.settle, studio.form.inputs, settled, **NOW), studio.form, kept)
    settling = [controls[name].input for name in ("cfg", "sampler", "size", "init", "carried")]
    gr.on(settling, opening.settle, studio.form.inputs, settled, **LATEST)


def _wire_explainer(
    cards: explainer_tab.Explainer, explaining: explainer.Explaining, desks: tuple[Text2Image, split_tab.Split, lora_tab.LoraTab],
    openings: tuple[Opening, split.Splitting, lora.Shelving], kept: gr.BrowserState, tabs: gr.Tabs,
) -> None:  # fmt: skip
    """The cards, and each value in the tab where it is used."""
    explainer.wire(cards.cards, explaining, kept)
    (studio, bench, shelf), (opening, splitting, shelving) = desks, openings
    panel = cards.cards
    opened = wires.opens(studio.form, studio.bar, kept, panel.use_text2image, explaining.using(opening), None)
    opened.then(lambda: gr.update(selected="text2image"), None, tabs, **NOW)
    opened = wires.opens(shelf.form, shelf.bar, kept, panel.use_lora, explaining.using(shelving), None)
    opened.then(lambda: gr.update(selected="lora"), None, tabs, **NOW)
    opened = wires.opens(bench.form, bench.bar, kept, panel.use_split, explaining.using(splitting), None)
    split.shown_by(opened, bench, splitting).then(lambda: gr.update(selected="split"), None, tabs, **NOW)


def _wire_gallery(tab: gr.Tab, wall: Wall, browsing: Browsing, kept: gr.BrowserState) -> None:
    tab.select(browsing.first_page, kept, wall, **NOW)
    wall.turn(browsing.turn, kept, wall, **NOW)
    wall.pick(browsing.pick, kept, wall, **NOW)
    wall.remove(browsing.remove, kept, wall, **NOW)


def _wire_models(
    tab: gr.Tab, library: Models, room: Storeroom, opening: Opening, splitting: split.Splitting, studio: Text2Image,
    bench: split_tab.Split, kept: gr.BrowserState,
) -> None:  # fmt: skip
    """The library, and downloads, which are the server's: every page that comes looks at the one that runs."""
    looking: dict[str, Any] = {"trigger_mode": "always_last", **WATCHING}

    def known(event: Any) -> None:
        """The forms list the models that are here now."""
        event.then(opening.settle, studio.form.inputs, [*studio.form.inputs, studio.form.drawers["negative"]], **NOW)
        event.then(splitting.look, bench.form.inputs, [*bench.form.inputs, *bench.inspector.values()], **NOW)

    tab.select(room.look, None, library.table, **NOW).then(room.watch, None, library.offers, **looking)
    known(library.rescan.click(room.look, None, library.table, **NOW).then(room.watch, None, library.offers, **looking))
    got = library.offers.get(room.get, None, library.offers, **NOW).then(room.watch, None, library.offers, **looking)
    known(got.then(room.look, None, library.table, **NOW))
    library.offers.stop(room.stop, None, None, **NOW)
    library.table.level(room.force, None, library.table, **NOW)
    forms = [*studio.form.inputs, *bench.form.inputs]
    told = library.table.variant(room.tell, forms, [library.table, *forms], **NOW)
    for desk in (studio, bench):
        wires.kept_by(told, desk.form, kept)
    known(told)
