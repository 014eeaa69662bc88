"""简体中文：详解标签页（卡片文字除外）。"""

from collections.abc import Mapping
from types import MappingProxyType

WORDS: Mapping[str, str] = MappingProxyType(
    {
        "tab.explainer": "详解",
        "explain.title": "每项设置的作用",
        "explain.lead": "每排图片都是同一个配方，只动一项设置，由模型在这里生成。拖动、观察，然后使用。",
        "explain.cards": "设置",
        "explain.low": "低",
        "explain.high": "高",
        "explain.none": "不起作用",
        "explain.usual": "常用值",
        "explain.help.ask": "关于 {name}",
        "explain.help.move": "看它变化",
        # 图片排
        "explain.model": "演示模型",
        "explain.every": "生成所有图片排",
        "explain.make": "生成这些图片",
        "explain.stop": "停止",
        "explain.wait": "排队中",
        "explain.took": "用时 {seconds} 秒，调用模型 {calls} 次。",
        "explain.cost": "{seconds} 秒，调用模型 {calls} 次",
        "explain.values": "{title}：取值",
        "explain.cell": "{title}：{label}",
        "explain.cell.wait": "{title}：{label}，尚未生成",
        "explain.compare": "与前一张比较",
        "explain.divider": "{a} 与 {b} 的分隔线",
        "explain.source": "从这张开始",
        "explain.use.text2image": "在文生图中使用",
        "explain.use.lora": "在 LoRA 中使用",
        "explain.use.split": "在分段中使用",
        "explain.grid": "同时看两项设置",
        "explain.grid.lead": "多数设置互相牵连：CFG 高就需要更多步。任选两项。",
        "explain.grid.x": "横向",
        "explain.grid.y": "纵向",
        # 不是数字的值
        "explain.cell.own": "自带",
        "explain.cell.tiles": "自带，分块",
        "explain.cell.unguided": "无引导",
        "explain.cell.by_cfg": "CFG，每步两遍",
        "explain.cell.learnt": "已学会，每步一遍",
        "explain.cell.without": "{value}，无 LCM",
        "explain.cell.with": "{value}，有 LCM",
        "explain.cell.left.keep": "原样交接",
        "explain.cell.clean.keep": "先去净",
        "explain.cell.clean.add": "去净后加新噪声",
        "explain.cell.left.add": "噪声上加噪声",
        "explain.cell.empty": "完全没有噪声",
        # 为何用别的模型演示
        "explain.why.clip_skip": "{model} 总是取文本编码器的同一层，Clip skip 对它不起作用。用 {shown} 演示。",
        "explain.why.shift": "{model} 有自己的噪声表，Shift 对它不起作用。用 {shown} 演示。",
        "explain.why.guidance": "{model} 没有学过 Guidance，这个数对它不起作用。这里演示代替它的做法。",
        "explain.why.embedding": "{model} 没有放 Embedding 的位置，名字会被当作词来读。用 {shown} 演示。",
        "explain.why.demo": "所需的文件是为 {shown} 制作的，所以用它演示。",
        # 关于图片排
        "explain.note.layers": "这个模型的文本编码器有 {layers} 层，所以可以停在同样多的位置。",
        "explain.note.cfg": "{model} 训练时就不用 CFG：在它自己的 1 下负面提示词没有效果，调高则耗时加倍。",
        "explain.note.guidance": "学会引导的模型，调用次数只有从外部引导的一半。",
        "explain.note.vae": "为节省内存，分块逐个解码再拼合：请看中间的接缝。放在 models/vae 的其他 VAE 也会出现在这里。",
        "explain.note.lcm": "比较用时：没有 LoRA 和有 LoRA。",
        "explain.note.lcm.none": "只有采样器，模型没有为此训练：画面偏软，因为每一步都丢掉旧噪声。",
        "explain.note.noise": "运行在第 {middle} 步切开：不同的只是那里交接了什么，以及是否添加噪声。",
        "explain.note.denoise": "到最右边，原画只剩一点痕迹。",
    }
)
