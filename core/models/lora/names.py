"""What a tensor's name in a LoRA file says: the module that it changes, and its role there.

lora_unet_mid_block_attentions_0_proj_in.lora_up.weight                 kohya, LyCORIS
unet.mid_block.attentions.0.proj_in.lora_A.weight                       diffusers, peft
mid_block.attentions.0.transformer_blocks.0.attn1.processor.to_q_lora.down.weight      diffusers before 0.22
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

LONGEST = 300  # letters of a name; real ones are below 150
BUNDLED = re.compile(r"bundle_emb\.([^.]{1,200})\.(.{1,80})")

PLAIN_ROLES = (
    "hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "hada_t1", "hada_t2",
    "lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b", "lokr_t2",
    "alpha", "dora_scale", "diff", "diff_b", "w_norm", "b_norm",
)  # fmt: skip
# Words of other methods: known as a LoRA's, so that such a file is not taken for a model, but not applied.
STRANGERS = re.compile(
    r"(.+)\.(?:(?:oft|boft|vera|ia3|lora_embedding|diff_|set_|reshape_)[\w.]*|[ab][12m]\.weight|on_input|rescale|scalar)"
)
METHODS = (
    ("OFT", re.compile(r"\.b?oft")), ("GLoRA", re.compile(r"\.[ab][12]m?\.weight$")),
    ("IA3", re.compile(r"\.(ia3|on_input)")), ("VeRA", re.compile(r"\.vera")),
)  # fmt: skip
ADAPTER = r"(?:\.(?!weight$|bias$)[^.]+)?"  # peft's adapter name, which its own saver leaves out
FORMS = (
    re.compile(r"(?P<module>.+)[._]lora[._](?:linear_layer\.)?(?P<role>up|down|mid)(?:\.weight)?"),
    re.compile(rf"(?P<module>.+)\.lora_(?P<role>A|B){ADAPTER}(?:\.weight)?"),
    re.compile(rf"(?P<module>.+)\.lora_(?P<role>B{ADAPTER}\.bias)"),
    re.compile(r"(?P<module>.+)\.lora_(?P<role>magnitude_vector)(?:\.[^.]+)?(?:\.weight)?"),
    re.compile(rf"(?P<module>.+)\.(?P<role>{'|'.join(PLAIN_ROLES)}){ADAPTER}"),
)
ROLES = {"A": "down", "B": "up"}


@dataclass(frozen=True, kw_only=True)
class Named:
    """The tensors of a LoRA file by what they are for."""

    modules: dict[str, dict[str, str]]  # module as the file names it -> role -> tensor
    embeddings: dict[str, dict[str, str]] = field(
        default_factory=dict[str, dict[str, str]]
    )  # bundled ones: name -> part -> tensor
    strange: tuple[str, ...] = ()  # tensors whose names say nothing known


def module_and_role(name: str) -> tuple[str, str] | None:
    """`x.lora_up.weight` -> ("x", "up"); None for a name of no known form."""
    if len(name) > LONGEST:
        return None
    for form in FORMS:
        if match := form.fullmatch(name):
            role = "bias" if match["role"].endswith("bias") else ROLES.get(match["role"], match["role"])
            return match["module"], role
    return None


def is_strangers(name: str) -> bool:
    """Whether a tensor of this name is part of a LoRA of a kind that cannot be applied."""
    return len(name) <= LONGEST and STRANGERS.fullmatch(name) is not None


def method_of(name: str) -> str | None:
    """What such a kind is called, where its words tell."""
    return next((method for method, mark in METHODS if is_strangers(name) and mark.search(name)), None)


def sort_out(names: Iterable[str]) -> Named:
    """Every tensor of a file under its module and role. Of two with one role the first by name counts."""
    modules: dict[str, dict[str, str]] = {}
    embeddings: dict[str, dict[str, str]] = {}
    strange: list[str] = []
    for name in sorted(names):
        found = module_and_role(name)
        if bundled := BUNDLED.fullmatch(name):
            embeddings.setdefault(bundled[1], {})[bundled[2]] = name
        elif found is None or found[1] in modules.get(found[0], {}):
            strange.append(name)
        else:
            modules.setdefault(found[0], {})[found[1]] = name
    return Named(modules=modules, embeddings=embeddings, strange=tuple(strange))
