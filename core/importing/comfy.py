"""A workflow of ComfyUI as a recipe: from the saved picture back through its samplers, each of which is a segment.

ComfyUI forgets the solver's history and draws its noise anew in every sampler, so each border is a restart, with its noise.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from core.errors import MetadataError
from core.importing.chains import TO_NEGATIVE, Chains, Words
from core.importing.draft import Draft
from core.importing.graph import Graph, Link, Node
from core.importing.shelf import Shelf
from core.recipe import LAST_STEP
from core.sampling import SAMPLERS, SCHEDULES, cfg_is_off

KSAMPLERS = ("KSampler", "KSamplerAdvanced", "SamplerCustom", "SamplerCustomAdvanced")
DECODERS = ("VAEDecode", "VAEDecodeTiled")
RUN_WIDE = ("prediction",)
TO_IMAGE = ("images", "image", "pixels", "upscaled_image")
TO_LATENT = ("latent_image", "samples", "latent", "samples1", "samples_to", "latents")
OUTPUTS = ("SaveImage", "PreviewImage")
MOST_OUTPUTS = 50  # that are looked at
LEAST_DENOISE = 1e-4  # below it nothing is left to do
MOST_STEPS = 10_000  # of a schedule that a small denoise makes long


@dataclass(frozen=True, kw_only=True)
class Pass:
    """One sampler of the workflow."""

    node: Node
    model: Link | None
    positive: Link | None
    negative: Link | None
    cfg: float | None
    sampler: str | None
    scheduler: str | None
    steps: int
    denoise: float = 1.0  # below 1: the last steps of a longer schedule
    seed: int = 0
    add_noise: bool = True
    start: int = 0
    end: int = LAST_STEP
    leftover: bool = False

    @property
    def scheduled(self) -> "Pass":
        """With a denoise below 1 written out as a later start in a longer schedule."""
        if self.denoise > 0.9999:
            return self
        total = min(int(self.steps / self.denoise), MOST_STEPS)
        left_out = total - self.steps
        end = self.end if self.end >= LAST_STEP else self.end + left_out
        return replace(self, steps=total, start=self.start + left_out, end=end, denoise=1.0)

    @property
    def last(self) -> int | None:
        """Where it ends; None: with its schedule, whose length ddim_uniform may stretch."""
        ends = self.end >= LAST_STEP or (self.end >= self.steps and self.scheduler != "ddim_uniform")
        return None if ends else self.end

    @property
    def does_nothing(self) -> bool:
        return self.start >= min(self.end, self.steps) or self.denoise < LEAST_DENOISE


@dataclass(kw_only=True)
class Source:
    """Where the latent comes from."""

    width: int | None = None
    height: int | None = None
    batch: int | None = None
    picture: str | None = None  # the file of an input picture
    vae: Link | None = None


def read(graph: Graph, shelf: Shelf) -> None:
    """Fills in the graph's draft. Raises MetadataError."""
    draft, reader = graph.draft, _Reader(graph)
    decoder = reader.decoder(_output(graph))
    passes, source = reader.latent(graph.link(decoder, "samples"))
    chains = Chains(graph, shelf)
    if source.picture is None:
        passes = [one.scheduled for one in passes]
    else:
        passes = [passes[0], *(one.scheduled for one in passes[1:])]
        draft.say("It starts from the picture {name}, which is not in the file: choose it again as image to image, "
                  "with denoise {denoise:g}.", name=source.picture, denoise=passes[0].denoise)  # fmt: skip
    parts = [_fields(one, chains, graph) for one in passes]
    draft.set(noise="comfyui", seed=passes[0].seed, width=_cells(source.width), height=_cells(source.height),
              batch=source.batch, vae_tiling=True if decoder.kind == "VAEDecodeTiled" else None)  # fmt: skip
    shared = {name: value for name, value in parts[0].items() if name in RUN_WIDE or all(name in part for part in parts)}
    draft.set(**{name: value for name, value in shared.items() if name != "conditioning" and value != []})
    segments = [_segment(k, passes, parts[k], shared) for k in range(len(passes))]
    draft.set(segments=segments if len(segments) > 1 or segments[0] else None)
    _vae(graph, decoder, shelf)
    chains.encoders(str(draft.fields.get("model", "")))
    _say_what_differs(draft, passes, source)


def _output(graph: Graph) -> Node:
    """The node that saves the picture; of several the one with the most samplers before it."""
    found = [node for node in graph.nodes.values() if node.kind.startswith(("Save", "Preview")) and graph.link(node, *TO_IMAGE)]
    counts = {node.id: _samplers_before(graph, node) for node in found[:MOST_OUTPUTS]}
    found = [node for node in found if counts.get(node.id)]
    if not found:
        raise MetadataError("No KSampler leads to a saved picture in this workflow: only those of ComfyUI itself are read.")
    best = max(found, key=lambda node: (node.kind == "SaveImage", counts[node.id]))
    if len(found) > 1:
        graph.draft.say("The workflow makes {count} pictures: the one of {node} is read.", count=len(found), node=best.title)
    return best


def _samplers_before(graph: Graph, node: Node) -> int:
    seen, waiting = {node.id}, [node]
    while waiting:
        here = waiting.pop()
        before = (graph.at(graph.link(here, name)) for name in here.inputs)
        new = [other for other in before if other is not None and other.id not in seen]
        seen |= {other.id for other in new}
        waiting += {other.id: other for other in new}.values()
    return sum(graph.nodes[id].kind in KSAMPLERS for id in seen)


class _Reader:
    """The way from a picture to its latent, and through the samplers."""

    def __init__(self, graph: Graph) -> None:
        self._graph, self._draft = graph, graph.draft

    def decoder(self, output: Node) -> Node:
        for node, _ in self._graph.back(self._graph.link(output, *TO_IMAGE), TO_IMAGE):
            if node.kind in DECODERS:
                return node
            self._draft.say("{node} comes after the picture and is not carried over.", node=node.title)
        raise MetadataError("{node} saves a picture that no VAE decoded: there is nothing to read from it.", node=output.title)

    def latent(self, link: Link | None) -> tuple[list[Pass], Source]:
        """The samplers in the order in which they run, and where the first begins. Where something between two of them cannot
        be carried over, those before it alone.
        """
        groups: list[list[Pass]] = [[]]
        source = Source()
        between: list[str] = []
        for node, output in self._steps_back(link):
            if node.kind in KSAMPLERS:
                groups[-1].insert(0, self._pass(node, output))
            elif "Empty" in node.kind and "Latent" in node.kind:
                source = Source(width=self._graph.whole(node, "width"), height=self._graph.whole(node, "height"),
                                batch=self._graph.whole(node, "batch_size"))  # fmt: skip
            elif node.kind.startswith("LoadImage"):
                source = Source(picture=str(self._graph.value(node, "image") or "?"))
            else:
                between.append(node.title)
                groups.append([])
        passes = [one for one in next((group for group in reversed(groups) if group), []) if not self._idle(one)]
        if sum(bool(group) for group in groups) > 1:
            self._draft.say("{nodes} between two samplers are not carried over: the recipe is the part before them.",
                            nodes=", ".join(reversed(between)))  # fmt: skip
        elif between:
            self._draft.say("{nodes} change the latent, which is not carried over.", nodes=", ".join(reversed(between)))
        if not passes:
            raise MetadataError("The samplers of this workflow end before they start: there is nothing to run.")
        return passes, source

    def _steps_back(self, link: Link | None) -> Iterator[tuple[Node, Link]]:
        """Through latents, and through a picture that was encoded."""
        follow = (*TO_LATENT, *TO_IMAGE)
        for node, output in self._graph.back(link, follow):
            if node.kind not in (*DECODERS, "VAEEncode", "VAEEncodeTiled"):
                yield node, output

    def _idle(self, one: Pass) -> bool:
        if one.does_nothing:
            self._draft.say("{node} ends before it starts: it does nothing and is left out.", node=one.node.title)
        return one.does_nothing

    def _pass(self, node: Node, output: Link) -> Pass:
        if node.kind == "SamplerCustomAdvanced":
            return self._custom_advanced(node, output)
        graph = self._graph
        common: dict[str, Any] = {
            "node": node, "cfg": graph.number(node, "cfg"), "model": graph.link(node, "model"),
            "positive": graph.link(node, "positive"), "negative": graph.link(node, "negative"),
        }  # fmt: skip
        if node.kind == "SamplerCustom":
            common |= self._sigmas(node) | {"sampler": self._selected(node), "add_noise": graph.flag(node, "add_noise", True)}
            return Pass(**common, seed=self._seed(node, "noise_seed"))
        common |= {"steps": self._count(node, "steps", 20), "sampler": self._known(node, "sampler_name", SAMPLERS),
                   "scheduler": self._known(node, "scheduler", SCHEDULES)}  # fmt: skip
        if node.kind == "KSampler":
            denoise = graph.number(node, "denoise")
            return Pass(**common, seed=self._seed(node, "seed"), denoise=1.0 if denoise is None else denoise)
        end = graph.whole(node, "end_at_step")
        return Pass(
            **common, seed=self._seed(node, "noise_seed"), add_noise=graph.flag(node, "add_noise", True),
            start=max(0, graph.whole(node, "start_at_step") or 0), end=LAST_STEP if end is None else end,
            leftover=graph.flag(node, "return_with_leftover_noise", False),
        )  # fmt: skip

    def _custom_advanced(self, node: Node, output: Link) -> Pass:
        """Noise, guider, sampler and sigmas are nodes of their own."""
        graph = self._graph
        noise, guider = graph.at(graph.link(node, "noise")), graph.at(graph.link(node, "guider"))
        if guider is None or guider.kind not in ("CFGGuider", "BasicGuider"):
            title = node.title if guider is None else guider.title
            self._draft.say("{node} guides in a way that is not here: its prompt is taken at cfg 1.", node=title)
        guider = guider or node
        drawn = noise is not None and noise.kind == "RandomNoise"
        found = self._sigmas(node)
        found["leftover"] = found.get("leftover", False) and output.slot == 0  # output 1 is the denoised estimate
        return Pass(
            **found, node=node, sampler=self._selected(node), model=graph.link(guider, "model"),
            cfg=graph.number(guider, "cfg") if guider.kind == "CFGGuider" else 1.0,
            positive=graph.link(guider, "positive", "conditioning"), negative=graph.link(guider, "negative"),
            add_noise=drawn, seed=self._seed(noise, "noise_seed") if noise is not None and drawn else 0,
        )  # fmt: skip

    def _sigmas(self, node: Node) -> dict[str, Any]:
        """Scheduler, steps and the part of them that a chain of sigma nodes leaves."""
        found: dict[str, Any] = {"steps": 20, "scheduler": None}
        cuts: list[tuple[int, int]] = []  # slot and step of SplitSigmas, the last one first
        for source, output in self._graph.back(self._graph.link(node, "sigmas"), ("sigmas",)):
            if source.kind == "SplitSigmas":
                cuts.append((output.slot, self._count(source, "step", 0)))
                continue
            if source.kind == "BasicScheduler":
                denoise = self._graph.number(source, "denoise")
                found = {"steps": self._count(source, "steps", 20), "scheduler": self._known(source, "scheduler", SCHEDULES),
                         "denoise": 1.0 if denoise is None else denoise}  # fmt: skip
            else:
                self._draft.say("{node} makes a schedule that is not here: the model's own is taken.", node=source.title)
                found = {"steps": self._count(source, "steps", 20), "scheduler": None}
            break
        start, end = 0, LAST_STEP
        for slot, step in reversed(cuts):
            start, end = (start + step, end) if slot else (start, min(end, start + step))
        return found | {"start": start, "end": end, "leftover": end < found["steps"]} if cuts else found

    def _selected(self, node: Node) -> str | None:
        """The sampler of KSamplerSelect, or that which another node is named after."""
        source = self._graph.at(self._graph.link(node, "sampler"))
        if source is None:
            return None
        if source.kind == "KSamplerSelect":
            return self._known(source, "sampler_name", SAMPLERS)
        self._draft.say("{node} makes a sampler that is not here: the model's own is taken.", node=source.title)
        return None

    def _known(self, node: Node, name: str, table: Any) -> str | None:
        value = self._graph.text(node, name)
        if value is None or value in table:
            return value
        self._draft.say("{node} asks for {name}, which is not here: the model's own is taken.", node=node.title, name=value)
        return None

    def _count(self, node: Node, name: str, default: int) -> int:
        value = self._graph.whole(node, name)
        return default if value is None else value

    def _seed(self, node: Node, name: str) -> int:
        return self._graph.whole(node, name) or 0


def _fields(one: Pass, chains: Chains, graph: Graph) -> dict[str, Any]:
    """What a recipe, or a segment, says of one sampler; what it leaves to the model is absent."""
    model, words = chains.model(one.model), chains.words(one.positive)
    off = one.cfg is not None and cfg_is_off(one.cfg) and not (one.sampler and SAMPLERS[one.sampler].needs_negative)
    negative = Words() if off else chains.words(one.negative, TO_NEGATIVE)
    if negative.zeroed:
        graph.draft.say("The negative prompt of {node} is zeroed, which is not here: an empty one is taken.", node=one.node.title)
    elif not off and chains.set_of(model, negative) != chains.set_of(model, words):
        graph.draft.say("The negative prompt of {node} is read with other LoRAs: here both are read alike.", node=one.node.title)
    found: dict[str, Any] = {
        "model": model.name, "shift": model.shift, "prediction": model.prediction, "prompt": words.text,
        "negative": "" if negative.zeroed else negative.text, "loras": chains.set_of(model, words), "clip_skip": words.clip_skip,
        "guidance": words.guidance, "cfg": one.cfg, "sampler": one.sampler, "scheduler": one.scheduler, "steps": one.steps,
        "conditioning": "zero" if words.zeroed else None,
    }  # fmt: skip
    return {name: value for name, value in found.items() if value is not None}


def _segment(k: int, passes: Sequence[Pass], part: Mapping[str, Any], shared: Mapping[str, Any]) -> dict[str, Any]:
    """The k-th sampler as a segment: only what the recipe does not say already."""
    one, first = passes[k], k == 0
    differs = {name: value for name, value in part.items() if name not in RUN_WIDE and value != shared.get(name)}
    differs |= {"conditioning": part["conditioning"]} if "conditioning" in part else {}
    own_schedule = not differs.keys().isdisjoint(("steps", "scheduler", "shift"))
    flags: dict[str, Any] = {
        "start": None if first and not one.start else one.start, "end": one.last,
        "border": None if first and not own_schedule else "restart",
        "add_noise": None if one.add_noise == first else one.add_noise,
        # At the end of a schedule no noise is left, whatever the flag says.
        "leftover_noise": None if one.last is None or one.leftover == (k < len(passes) - 1) else one.leftover,
        "noise_seed": None if one.seed == passes[0].seed else one.seed,
    }  # fmt: skip
    return {name: value for name, value in (flags | differs).items() if value is not None}


def _cells(pixels: int | None) -> int | None:
    """ComfyUI's latents are whole cells of 8 pixels."""
    return None if pixels is None else pixels // 8 * 8


def _vae(graph: Graph, decoder: Node, shelf: Shelf) -> None:
    """The VAE that decodes, unless it is the model's own here."""
    loader = graph.at(graph.link(decoder, "vae"))
    name = graph.text(loader, "vae_name") if loader is not None and loader.kind == "VAELoader" else None
    if name is None or name.replace("\\", "/").rpartition("/")[2] in shelf.parts(str(graph.draft.fields.get("model", ""))):
        return
    ours = shelf.vae(name)
    if ours is None:
        graph.draft.say("VAE {name} is not here: put it into models/vae, or leave the model's own.", name=name)
    graph.draft.set(vae=ours or name)


def _say_what_differs(draft: Draft, passes: Sequence[Pass], source: Source) -> None:
    if (source.batch or 1) > 1:
        draft.say("ComfyUI draws the noise of a batch in one piece: picture 1 is the same here, the others are not.")
    random = [one.sampler for one in passes if one.sampler and SAMPLERS[one.sampler].uses_noise]
    if random:
        draft.say("On a GPU ComfyUI draws the noise of {sampler} there: a picture made so comes out differently.",
                  sampler=random[0])  # fmt: skip
