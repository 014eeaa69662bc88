"""简体中文：详解卡片下方的“看看内部”。"""

# ruff: noqa: E501  (one pair a line)

from collections.abc import Mapping
from types import MappingProxyType

WORDS: Mapping[str, str] = MappingProxyType(
    {
        "inside.title": "看看内部",
        "inside.lead": "提示词与图片之间发生了什么。这里的一切都在您现有的模型上实测。",
        "inside.wait": "排队中",
        "inside.stop": "停止",
        "inside.numbers": "同样内容的数字",
        "run.looking": "正在查看内部",
        # 从噪声到图片
        "inside.trace.title": "从噪声到图片",
        "inside.trace.lead": "每一步，模型看到带噪声的 latent，猜测干净的 latent。采样器朝这个猜测走一点，再问一次。",
        "inside.trace.look": "走一遍运行",
        "inside.trace.scrub": "步",
        "inside.trace.latent": "模型看到的",
        "inside.trace.estimate": "它的猜测",
        "inside.trace.latent.alt": "第 {step} 步之前带噪声的 latent，已解码",
        "inside.trace.estimate.alt": "第 {step} 步对干净图片的估计",
        "inside.trace.said": "第 {step} 步之前（共 {steps} 步）：噪声大小 σ {sigma}。",
        "inside.trace.end": "{steps} 步之后：没有噪声了，这就是图片。",
        # 用箭头看 CFG
        "inside.arrows.title": "用箭头看 CFG",
        "inside.arrows.lead": "这一步模型猜两次：没有提示词（负面）和有提示词（正面）。CFG 从前者走过后者：为 1 时停在正面，大于 1 时朝同一方向继续。",
        "inside.arrows.plot": "latent、负面、正面和结果，画在它们所张成的平面上",
        "inside.arrows.none": "CFG 为 1 时不计算负面，没有可比较的。请选择使用 CFG 的模型。",
        "inside.arrows.x": "latent",
        "inside.arrows.negative": "负面",
        "inside.arrows.positive": "正面",
        "inside.arrows.result": "结果",
        "inside.arrows.own": "CFG {cfg}，本次运行的值",
        "inside.arrows.said": "负面与正面相距 {gap}，离 latent 分别为 {negative} 和 {positive}。CFG {cfg} 的结果离负面 {moved}，离 latent {result}。",
        "inside.arrows.stretched": "横向放大为纵向的 {times} 倍。",
        "inside.arrows.squeezed": "纵向放大为横向的 {times} 倍。",
        # 层
        "inside.layers.look": "逐层看 Clip skip",
        "inside.layers.title": "文本编码器每一层之后的提示词",
        "inside.layers.lead": "一列是一个 token，一行是一层：颜色越深，该 token 的数值离最后一层越远。这个模型自己的 Clip skip 是 {own}。它对图片的作用见上面的卡片。",
        "inside.layers.plot": "每个 token 离最后一层有多远",
        "inside.layers.skip": "Clip skip {skip}",
        "inside.layers.cell": "Clip skip {skip}，token {token}：相似度 {likeness}，长度 {length}",
        "inside.layers.said": "Clip skip {skip}：与最后一层的相似度平均 {mean}，最低 {least}。",
        # 批次
        "inside.pair.look": "单独生成批次的第 3 张",
        "inside.pair.title": "单独生成批次的第 3 张",
        "inside.pair.lead": "批次第三张的种子是批次种子加 2。这里从头生成三遍，逐位比较。",
        "inside.pair.alone": "单独，种子 {seed}",
        "inside.pair.exact": "种子 {seed} 批次的第三张，逐张计算",
        "inside.pair.fast": "种子 {seed} 批次的第三张，一次前向全部计算",
        "inside.pair.same": "逐位相同",
        "inside.pair.differs": "最大相差 {most}：求和舍入的顺序不同",
        # sigma 曲线
        "inside.sigmas.title": "Sigma 曲线",
        "inside.sigmas.lead": "调度决定每一步之前还剩多少噪声。每条曲线是一种调度；点是所选采样器真正询问模型的位置。",
        "inside.sigmas.plot": "各种调度下噪声随步的变化",
        "inside.sigmas.on": "在调度的级别上询问模型",
        "inside.sigmas.off": "在级别之间询问",
        "inside.sigmas.step": "步",
        "inside.sigmas.first": "第一个 σ",
        "inside.sigmas.middle": "中间",
        "inside.sigmas.last": "0 之前的最后一个",
        "inside.sigmas.said": "{scheduler}，{steps} 步：σ 从 {first} 到 {last}，然后为 0；中途为 {half}。",
        "inside.sigmas.calls": "{sampler} 询问模型 {calls} 次，都在这些级别上。",
        "inside.sigmas.calls.between": "{sampler} 询问模型 {calls} 次，其中 {between} 次在这些级别之间。",
        "inside.calls.title": "一次运行的模型调用",
        "inside.calls.lead": "不是查表，而是实数：每个采样器都在会记录询问的模型上跑这些步。有 CFG 时每次调用算两个提示词。",
        # token
        "inside.tokens.title": "文本编码器得到什么",
        "inside.tokens.lead": "不是词，而是 token，即模型自己的 tokenizer 认识的片段。CLIP 以 75 个为一窗来读。",
        "inside.tokens.edits": "步",
        "inside.tokens.steps": "第 {steps} 步",
        "inside.tokens.said": "{title}：{tokens} 个 token，{windows} 个窗口。",
        "inside.tokens.most": "最多容纳 {most} 个，含模板。",
        "inside.tokens.too_long": "最多容纳 {most} 个，提示词多了 {over} 个：这样无法运行。",
        "inside.tokens.unused": "最后 {count} 个窗口不使用：这个模型只取第一个窗口的概要。",
        "inside.tokens.window": "窗口 {number}",
        "inside.tokens.room": "{tokens} / {room} 个 token",
        "inside.tokens.padding": "填充 {count} 个",
        "inside.tokens.cut": "不使用",
        "inside.tokens.more": "另有 {count} 个",
        "inside.tokens.weight": "权重不为 1",
        "inside.tokens.weight.of": "权重 {weight}",
        "inside.tokens.embedding": "Embedding：它的一个向量",
        "inside.tokens.trigger": "LoRA 的触发词",
        "inside.tokens.template": "模型自己的模板",
        "inside.tokens.loras": "已取出，不会交给编码器：{tags}",
        # VAE
        "inside.vae.title": "VAE 丢失了什么",
        "inside.vae.lead": "VAE 把图片压成小的 latent，再还原。在那里丢失的，任何设置都找不回来。",
        "inside.vae.drop": "把图片拖到这里，或点击选择",
        "inside.vae.latest": "用我最近的图片",
        "inside.vae.no_latest": "还没有图片：请在文生图中生成，或选择文件。",
        "inside.vae.other": "并排的另一个 VAE",
        "inside.vae.no_other": "无",
        "inside.vae.own": "模型自带的 VAE",
        "inside.vae.look": "压缩再还原",
        "inside.vae.original": "之前",
        "inside.vae.decoded": "之后",
        "inside.vae.difference": "差异，放大 {factor} 倍",
        "inside.vae.none": "无穷大，没有丢失",
        "inside.vae.said": "PSNR {psnr}；颜色平均偏差 {mean} / 255，最大 {worst}。{of} 个数变成 {numbers} 个，为原来的 1/{times}。",
    }
)
ERRORS: Mapping[str, str] = MappingProxyType(
    {
        "There is no picture yet: choose one.": "还没有图片，请选择一张。",
        "There is no such look inside.": "没有这样的内部查看。",
    }
)
