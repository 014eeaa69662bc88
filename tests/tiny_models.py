"""Tiny random models of the real architectures, made from stock classes, and a tiny CLIP tokenizer, for the tests."""

import json
from pathlib import Path
from typing import Any

import torch

WORDS = ["red", "apple", "rabbit", "blue", "the", "on", "a"]


def byte_letters() -> list[str]:
    """The 256 letters of GPT-2's byte alphabet, printable ones first: `!` is token 0, as in CLIP."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return [chr(byte) for byte in plain] + [chr(256 + k) for k in range(256 - len(plain))]


def tokenizer(folder: Path) -> Path:
    """vocab.json and merges.txt in CLIP's format: bytes, and a few words."""
    letters = byte_letters()
    vocab = letters + [letter + "</w>" for letter in letters]
    merges: list[tuple[str, str]] = []
    for word in WORDS:
        parts = [*word[:-1], word[-1] + "</w>"]
        while len(parts) > 1:
            merges.append((parts[0], parts[1]))
            parts = [parts[0] + parts[1], *parts[2:]]
            vocab.append(parts[0])
    vocab = [*dict.fromkeys(vocab), "<|startoftext|>", "<|endoftext|>"]
    merges = list(dict.fromkeys(merges))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({token: k for k, token in enumerate(vocab)}), encoding="utf-8")
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def read_tokenizer(folder: Path, pad: str = "<|endoftext|>") -> Any:
    from transformers import CLIPTokenizer

    return CLIPTokenizer.from_pretrained(str(tokenizer(folder)), pad_token=pad, model_max_length=77)


def clip(words: Any, width: int, layers: int, projection: int | None = None, act: str = "quick_gelu") -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        hidden_size=width, intermediate_size=2 * width, num_hidden_layers=layers, num_attention_heads=2, hidden_act=act,
        vocab_size=len(words), projection_dim=projection or width, bos_token_id=words.bos_token_id,
        eos_token_id=words.eos_token_id, pad_token_id=words.pad_token_id,
    )  # fmt: skip
    return noisy((CLIPTextModelWithProjection if projection else CLIPTextModel)(config))


def clip_model(folder: Path, seed: int = 5) -> Any:
    """A whole CLIP model, text and vision, with its tokenizer, as people download it. Of this seed cosines lie above and below 0."""
    from transformers import CLIPConfig, CLIPModel

    torch.manual_seed(seed)
    words = read_tokenizer(folder)
    shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    ends = {"bos_token_id": words.bos_token_id, "eos_token_id": words.eos_token_id, "pad_token_id": words.pad_token_id}
    model = noisy(
        CLIPModel(
            CLIPConfig(
                projection_dim=12,
                text_config={**shape, "vocab_size": len(words), **ends},
                vision_config={**shape, "image_size": 32, "patch_size": 8},
            )
        )
    )
    model.save_pretrained(folder)
    return model


def vae(**changes: Any) -> Any:
    from diffusers import AutoencoderKL

    sizes: dict[str, Any] = {
        "down_block_types": ["DownEncoderBlock2D"] * 3, "up_block_types": ["UpDecoderBlock2D"] * 3,
        "block_out_channels": [4, 8, 8], "layers_per_block": 2, "norm_num_groups": 4, "latent_channels": 4,
        "sample_size": 32, "scaling_factor": 0.18215,
    }  # fmt: skip
    return noisy(AutoencoderKL(**{**sizes, **changes}))


def noisy(model: Any) -> Any:
    """Norms and biases too are random: a swapped pair of them would go unseen in a fresh model."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return model.eval().requires_grad_(False)


def saved(pipe: Any, folder: Path, dtype: torch.dtype) -> Any:
    if dtype != torch.float32:
        for part in pipe.components.values():
            if isinstance(part, torch.nn.Module):
                part.to(dtype)
    pipe.set_progress_bar_config(disable=True)
    pipe.save_pretrained(folder)
    return pipe


def sd15(folder: Path, seed: int = 0, dtype: torch.dtype = torch.float32) -> Any:
    """An SD1.5 pipeline, saved to `folder`: attention at the first two of three levels, two layers a block."""
    from diffusers import EulerDiscreteScheduler, StableDiffusionPipeline, UNet2DConditionModel

    torch.manual_seed(seed)
    words = read_tokenizer(folder / "words")
    unet = UNet2DConditionModel(
        sample_size=8, layers_per_block=2, block_out_channels=(8, 8, 16), norm_num_groups=4, cross_attention_dim=16,
        attention_head_dim=2, down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
    )  # fmt: skip
    pipe = StableDiffusionPipeline(
        vae=vae(), text_encoder=clip(words, 16, 3), tokenizer=words, unet=noisy(unet),
        scheduler=EulerDiscreteScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    return saved(pipe, folder, dtype)


def sdxl(folder: Path, seed: int = 0, dtype: torch.dtype = torch.float32) -> Any:
    """An SDXL pipeline, saved to `folder`: two encoders of 16 and 24, transformers of depth 2 and 3."""
    from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline, UNet2DConditionModel

    torch.manual_seed(seed)
    words, words_2 = read_tokenizer(folder / "words"), read_tokenizer(folder / "words_2", pad="!")
    unet = UNet2DConditionModel(
        sample_size=8, layers_per_block=2, block_out_channels=(8, 8, 16), norm_num_groups=4, cross_attention_dim=40,
        attention_head_dim=(2, 2, 4), down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"), use_linear_projection=True,
        transformer_layers_per_block=(1, 2, 3), addition_embed_type="text_time", addition_time_embed_dim=4,
        projection_class_embeddings_input_dim=6 * 4 + 20,
    )  # fmt: skip
    pipe = StableDiffusionXLPipeline(
        vae=vae(scaling_factor=0.13025), text_encoder=clip(words, 16, 3), tokenizer=words,
        text_encoder_2=clip(words_2, 24, 4, projection=20, act="gelu"), tokenizer_2=words_2, unet=noisy(unet),
        scheduler=EulerDiscreteScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1),
    )  # fmt: skip
    return saved(pipe, folder, dtype)


# ------------------------------------------------------------------ the LDM layout, written as its constructors count


def ldm_unet(unet: Any) -> dict[str, torch.Tensor]:
    """A UNet's weights under CompVis' names: `input_blocks` and `output_blocks` are numbered as its UNetModel makes them."""
    layers, levels = unet.config.layers_per_block, len(unet.config.block_out_channels)
    places = {
        "time_embedding.linear_1": "time_embed.0",
        "time_embedding.linear_2": "time_embed.2",
        "conv_in": "input_blocks.0.0",
    }
    places |= {"conv_norm_out": "out.0", "conv_out": "out.2"}
    places |= {"add_embedding.linear_1": "label_emb.0.0", "add_embedding.linear_2": "label_emb.0.2"}
    n = 1
    for level in range(levels):
        for layer in range(layers):
            places[f"down_blocks.{level}.resnets.{layer}"] = f"input_blocks.{n}.0"
            places[f"down_blocks.{level}.attentions.{layer}"] = f"input_blocks.{n}.1"
            n += 1
        if level < levels - 1:
            places[f"down_blocks.{level}.downsamplers.0.conv"] = f"input_blocks.{n}.0.op"
            n += 1
    places |= {"mid_block.resnets.0": "middle_block.0", "mid_block.attentions.0": "middle_block.1"}
    places |= {"mid_block.resnets.1": "middle_block.2"}
    n = 0
    for level, block in enumerate(unet.up_blocks):
        attends = hasattr(block, "attentions")
        for layer in range(layers + 1):
            places[f"up_blocks.{level}.resnets.{layer}"] = f"output_blocks.{n}.0"
            places[f"up_blocks.{level}.attentions.{layer}"] = f"output_blocks.{n}.1"
            if layer == layers and level < levels - 1:
                places[f"up_blocks.{level}.upsamplers.0.conv"] = f"output_blocks.{n}.{1 + attends}.conv"
            n += 1
    inside = {
        "norm1.": "in_layers.0.",
        "conv1.": "in_layers.2.",
        "time_emb_proj.": "emb_layers.1.",
        "norm2.": "out_layers.0.",
    }
    inside |= {"conv2.": "out_layers.3.", "conv_shortcut.": "skip_connection."}
    return {placed(key, places, inside): tensor for key, tensor in unet.state_dict().items()}


def placed(key: str, places: dict[str, str], inside: dict[str, str]) -> str:
    place = next(place for place in places if key.startswith(place + "."))
    rest = key.removeprefix(place + ".")
    if "resnets" in place:
        part = next(part for part in inside if rest.startswith(part))
        rest = rest.replace(part, inside[part])
    return f"{places[place]}.{rest}"


def ldm_vae(vae: Any) -> dict[str, torch.Tensor]:
    """A VAE's weights under CompVis' names; its attention is made of 1x1 convolutions there."""
    levels = len(vae.config.block_out_channels)
    state: dict[str, torch.Tensor] = {}
    for key, tensor in vae.state_dict().items():
        parts = key.split(".")
        if parts[0] in {"quant_conv", "post_quant_conv"} or parts[1] in {"conv_in", "conv_out"}:
            name = key
        elif parts[1] == "conv_norm_out":
            name = f"{parts[0]}.norm_out.{parts[2]}"
        elif parts[1] == "mid_block" and parts[2] == "resnets":
            name = ".".join([parts[0], "mid", f"block_{int(parts[3]) + 1}", *parts[4:]])
        elif parts[1] == "mid_block":
            there = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out": "proj_out"}[parts[4]]
            name = f"{parts[0]}.mid.attn_1.{there}.{parts[-1]}"
            tensor = tensor[:, :, None, None] if parts[-1] == "weight" and there != "norm" else tensor
        else:
            level = int(parts[2]) if parts[1] == "down_blocks" else levels - 1 - int(parts[2])
            side = parts[1].removesuffix("_blocks")
            what = ["block", parts[4], *parts[5:]] if parts[3] == "resnets" else [f"{side}sample", *parts[5:]]
            name = ".".join([parts[0], side, str(level), *what])
        state[name.replace("conv_shortcut", "nin_shortcut")] = tensor.contiguous()
    return state


def open_clip(encoder: Any) -> dict[str, torch.Tensor]:
    """A CLIP text model with projection under open_clip's names: q, k, v in one, the projection transposed."""
    inner = encoder.text_model
    state = {
        "token_embedding.weight": inner.embeddings.token_embedding.weight,
        "positional_embedding": inner.embeddings.position_embedding.weight,
        "ln_final.weight": inner.final_layer_norm.weight,
        "ln_final.bias": inner.final_layer_norm.bias,
        "text_projection": encoder.text_projection.weight.T.contiguous(),
    }
    for n, layer in enumerate(inner.encoder.layers):
        at, attention = f"transformer.resblocks.{n}.", layer.self_attn
        for kind in ("weight", "bias"):
            fused = [getattr(part, kind) for part in (attention.q_proj, attention.k_proj, attention.v_proj)]
            state[f"{at}attn.in_proj_{kind}"] = torch.cat(fused)
            state[f"{at}attn.out_proj.{kind}"] = getattr(attention.out_proj, kind)
            state[f"{at}ln_1.{kind}"], state[f"{at}ln_2.{kind}"] = (
                getattr(n, kind) for n in (layer.layer_norm1, layer.layer_norm2)
            )
            state[f"{at}mlp.c_fc.{kind}"], state[f"{at}mlp.c_proj.{kind}"] = (
                getattr(n, kind) for n in (layer.mlp.fc1, layer.mlp.fc2)
            )
    return state


def under(prefix: str, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {prefix + name: tensor for name, tensor in state.items()}


def text_model(encoder: Any) -> dict[str, torch.Tensor]:
    """transformers' names as they stand in checkpoints: always below `text_model.`"""
    state = {
        ("" if name.startswith("text_model.") else "text_model.") + name: t for name, t in encoder.state_dict().items()
    }
    count = encoder.config.max_position_embeddings
    return {**state, "text_model.embeddings.position_ids": torch.arange(count)[None]}


def checkpoint(pipe: Any) -> dict[str, torch.Tensor]:
    """A whole SD1.5 or SDXL checkpoint in the LDM layout."""
    state = under("model.diffusion_model.", ldm_unet(pipe.unet)) | under("first_stage_model.", ldm_vae(pipe.vae))
    if hasattr(pipe, "text_encoder_2"):
        state |= under("conditioner.embedders.0.transformer.", text_model(pipe.text_encoder))
        state |= under("conditioner.embedders.1.model.", open_clip(pipe.text_encoder_2))
    else:
        state |= under("cond_stage_model.transformer.", text_model(pipe.text_encoder))
    return {name: tensor.contiguous() for name, tensor in state.items()} | {"alphas_cumprod": torch.ones(1000)}


def configs(pipe: Any, folder: Path) -> Path:
    """The small configuration files that a single file lacks."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("unet", "vae", "text_encoder", "text_encoder_2"):
        part = getattr(pipe, name, None)
        if part is not None:
            config = part.config.to_dict() if hasattr(part.config, "to_dict") else dict(part.config)
            (folder / f"{name}.json").write_text(json.dumps(config, default=str), encoding="utf-8")
    return folder


# ------------------------------------------------------------------ families with a transformer


CHAT = (
    "{%- for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}"
    "{%- endfor %}{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}"
    "{%- if enable_thinking is defined and enable_thinking is false %}{{ '<think>\\n\\n</think>\\n\\n' }}{%- endif %}{%- endif %}"
)


def chat_tokenizer() -> Any:
    """Qwen3's kind: bytes, special tokens for the turns of a chat, and a template that puts them."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.BPE(vocab={letter: k for k, letter in enumerate(byte_letters())}, merges=[]))
    words.pre_tokenizer, words.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    words.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    made = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<|endoftext|>", eos_token="<|im_end|>")
    made.chat_template = CHAT
    return made


def qwen3(words: Any, width: int = 16, layers: int = 3) -> Any:
    from transformers import Qwen3Config, Qwen3Model

    config = Qwen3Config(
        vocab_size=len(words), hidden_size=width, intermediate_size=2 * width, num_hidden_layers=layers, head_dim=8,
        num_attention_heads=4, num_key_value_heads=2, rope_parameters={"rope_type": "default", "rope_theta": 1e6},
        tie_word_embeddings=True,
    )  # fmt: skip
    return noisy(Qwen3Model(config))


def flow_vae(**changes: Any) -> Any:
    """Flux's kind of VAE: 16 channels, a shift, no convolutions around the latent."""
    sizes: dict[str, Any] = {
        "latent_channels": 16, "scaling_factor": 0.3611, "shift_factor": 0.1159, "use_quant_conv": False,
        "use_post_quant_conv": False,
    }  # fmt: skip
    return vae(**{**sizes, **changes})


def writer(encoder: Any) -> Any:
    """The same Qwen3 as the whole language model that it is: its table of embeddings is its last layer too."""
    from transformers import Qwen3ForCausalLM

    with torch.no_grad():
        for name, weight in encoder.layers.named_parameters():
            weight.mul_(1 if "norm" in name else 16)  # or the last word's own row is the likeliest next one, for ever
    whole = Qwen3ForCausalLM(encoder.config)
    whole.model = encoder
    whole.tie_weights()
    return whole.eval()


def z_image(
    folder: Path, seed: int = 0, dtype: torch.dtype = torch.float32, shift: float = 3.0, writes: bool = False
) -> Any:
    """A Z-Image pipeline, saved to `folder`: 2 + 1 + 1 blocks of width 32. writes: its text encoder is saved as what it is."""
    from diffusers import FlowMatchEulerDiscreteScheduler, ZImagePipeline, ZImageTransformer2DModel

    torch.manual_seed(seed)
    words = chat_tokenizer()
    transformer = ZImageTransformer2DModel(
        in_channels=16, dim=32, n_layers=2, n_refiner_layers=1, n_heads=2, n_kv_heads=2, cap_feat_dim=16,
        axes_dims=[4, 6, 6], axes_lens=[256, 32, 32],
    )  # fmt: skip
    pipe = ZImagePipeline(
        vae=flow_vae(), text_encoder=qwen3(words), tokenizer=words, transformer=noisy(transformer),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=shift),
    )  # fmt: skip
    made = saved(pipe, folder, dtype)
    if writes:
        writer(pipe.text_encoder).save_pretrained(folder / "text_encoder")
    return made


def comfy_z_image(transformer: Any) -> dict[str, torch.Tensor]:
    """Z-Image's weights as ComfyUI's files name them: q, k and v in one, and a norm that nothing reads."""
    state = dict(transformer.state_dict())
    for key in [key for key in state if key.endswith("attention.to_q.weight")]:
        at = key.removesuffix("to_q.weight")
        state[at + "qkv.weight"] = torch.cat([state.pop(f"{at}to_{which}.weight") for which in "qkv"])
        state[at + "out.weight"] = state.pop(at + "to_out.0.weight")
        state[at + "q_norm.weight"], state[at + "k_norm.weight"] = (state.pop(f"{at}norm_{k}.weight") for k in "qk")
    for part in ("x_embedder", "final_layer"):
        for key in [key for key in state if key.startswith(f"all_{part}.2-1.")]:
            state[key.replace(f"all_{part}.2-1.", f"{part}.")] = state.pop(key)
    return state | {"norm_final.weight": torch.ones(transformer.config.dim)}


def scaled_fp8(
    state: dict[str, torch.Tensor], spelling: str
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Matrices as fp8 with scales, and the same weights as the numbers that these stand for, in bfloat16."""
    eights: dict[str, torch.Tensor] = {"scaled_fp8": torch.zeros(2, dtype=torch.float8_e4m3fn)}
    reference: dict[str, torch.Tensor] = {}
    for n, (name, tensor) in enumerate(state.items()):
        if tensor.ndim != 2 or not name.endswith(".weight"):
            eights[name] = reference[name] = tensor.to(torch.bfloat16)
            continue
        rows = n % 2 == 0  # one scale for all, or one for each row
        scale = (tensor.float().abs().amax(dim=1, keepdim=True) if rows else tensor.float().abs().amax()) / 448
        eight = (tensor.float() / scale).to(torch.float8_e4m3fn)
        eights[name], eights[f"{name.removesuffix('.weight')}.{spelling}"] = eight, scale.contiguous()
        reference[name] = (eight.float() * scale).to(torch.bfloat16)
    return eights, reference


def dense(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.clone().contiguous() for name, tensor in state.items()}


def piece_tokenizer() -> Any:
    """T5's kind: pieces that begin with a mark for the space, an end token, padding 0."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    letters = [("\u2581" + word, -3.0) for word in WORDS] + [(chr(code), -6.0) for code in range(33, 127)]
    vocabulary = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -20.0), ("\u2581", -5.0), *letters]
    words = Tokenizer(models.Unigram(vocabulary, unk_id=2, byte_fallback=False))
    words.pre_tokenizer = pre_tokenizers.Metaspace()
    words.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=512
    )


def t5(words: Any, width: int = 24) -> Any:
    from transformers import T5Config, T5EncoderModel

    config = T5Config(
        vocab_size=len(words), d_model=width, d_kv=8, d_ff=2 * width, num_layers=2, num_heads=3,
        feed_forward_proj="gated-gelu", dropout_rate=0.0,
    )  # fmt: skip
    return noisy(T5EncoderModel(config))


def flux(folder: Path, seed: int = 0, dtype: torch.dtype = torch.float32, guided: bool = True) -> Any:
    """A Flux.1 pipeline, saved to `folder`: one double block, two single ones; with `guided` it is dev, else schnell."""
    from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel

    torch.manual_seed(seed)
    words, pieces = read_tokenizer(folder / "words"), piece_tokenizer()
    transformer = FluxTransformer2DModel(
        in_channels=64, num_layers=1, num_single_layers=2, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=24, pooled_projection_dim=16, guidance_embeds=guided, axes_dims_rope=(4, 6, 6),
    )  # fmt: skip
    pipe = FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(), vae=flow_vae(), text_encoder=clip(words, 16, 3), tokenizer=words,
        text_encoder_2=t5(pieces), tokenizer_2=pieces, transformer=noisy(transformer),
    )  # fmt: skip
    return saved(pipe, folder, dtype)


def comfy_flux(transformer: Any) -> dict[str, torch.Tensor]:
    """Flux's weights as Black Forest Labs name them, written down as its constructors do, block by block."""
    ours = dict(transformer.state_dict())
    state: dict[str, torch.Tensor] = {}

    def put(name: str, *keys: str) -> None:
        for end in ("weight", "bias"):
            if f"{keys[0]}.{end}" in ours:
                state[f"{name}.{end}"] = torch.cat([ours.pop(f"{key}.{end}") for key in keys])

    def scale(name: str, key: str) -> None:
        state[f"{name}.scale"] = ours.pop(f"{key}.weight")

    embed = "time_text_embed."
    for name, key in (("time_in", "timestep"), ("vector_in", "text"), ("guidance_in", "guidance")):
        put(f"{name}.in_layer", f"{embed}{key}_embedder.linear_1")
        put(f"{name}.out_layer", f"{embed}{key}_embedder.linear_2")
    put("txt_in", "context_embedder")
    put("img_in", "x_embedder")
    for n in range(transformer.config.num_layers):
        at, block = f"double_blocks.{n}.", f"transformer_blocks.{n}."
        put(at + "img_mod.lin", block + "norm1.linear")
        put(at + "txt_mod.lin", block + "norm1_context.linear")
        put(at + "img_attn.qkv", *(f"{block}attn.to_{which}" for which in "qkv"))
        put(at + "txt_attn.qkv", *(f"{block}attn.add_{which}_proj" for which in "qkv"))
        for side, norm in (("img", "norm_"), ("txt", "norm_added_")):
            scale(f"{at}{side}_attn.norm.query_norm", f"{block}attn.{norm}q")
            scale(f"{at}{side}_attn.norm.key_norm", f"{block}attn.{norm}k")
        put(at + "img_attn.proj", block + "attn.to_out.0")
        put(at + "txt_attn.proj", block + "attn.to_add_out")
        for side, forward in (("img", "ff"), ("txt", "ff_context")):
            put(f"{at}{side}_mlp.0", f"{block}{forward}.net.0.proj")
            put(f"{at}{side}_mlp.2", f"{block}{forward}.net.2")
    for n in range(transformer.config.num_single_layers):
        at, block = f"single_blocks.{n}.", f"single_transformer_blocks.{n}."
        put(at + "modulation.lin", block + "norm.linear")
        put(at + "linear1", *(f"{block}attn.to_{which}" for which in "qkv"), block + "proj_mlp")
        put(at + "linear2", block + "proj_out")
        scale(at + "norm.query_norm", block + "attn.norm_q")
        scale(at + "norm.key_norm", block + "attn.norm_k")
    put("final_layer.linear", "proj_out")
    put("final_layer.adaLN_modulation.1", "norm_out.linear")
    for end in ("weight", "bias"):  # shift above scale
        name = f"final_layer.adaLN_modulation.1.{end}"
        state[name] = torch.cat(state[name].chunk(2)[::-1])
    assert not ours, sorted(ours)
    return state
