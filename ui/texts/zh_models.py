"""简体中文：代替 CFG 告诉模型的值，以及模型标签页。"""

from collections.abc import Mapping
from types import MappingProxyType

WORDS: Mapping[str, str] = MappingProxyType(
    {
        "guidance": "Guidance",
        "guidance.hint": "作为数值告诉模型，不增加计算。CFG 大于 1 则要多算一遍。留空：用模型自己的值。",
        "guidance.reason": "这个模型没有 Guidance，请用 CFG。",
        "shift": "Shift",
        "shift.hint": "越高，在决定构图的高噪声阶段停留越久。留空：用模型在此尺寸下的值。",
        "shift.reason": "这个模型没有 flow 的 Shift。",
        "prediction.reason": "这是 flow 模型，没有可选项。",
        # 已有的模型
        "models.memory": "现在内存中的模型，{level}：{why}",
        "models.level": "内存级别",
        "models.level.auto": "自动：第一个放得下的",
        "models.level.resident": "全部放在设备上",
        "models.level.swap": "各部件轮流",
        "models.level.stream": "逐块传输",
        "models.level.fp8": "8 位（图片会有细微变化）",
        "models.level.hint": "对所有模型生效，从下一张图片开始。",
        "models.level.guarded": "由运行此服务器的人决定。",
        "models.variant": "{name} 的版本",
        "models.variant.turbo": "Turbo",
        "models.variant.base": "base",
        "models.variant.hint": "文件看不出是 Turbo 还是 base。步数、CFG 和 Shift 会按您的选择调整。",
        "models.part.text_encoder": "文本编码器",
        "models.part.text_encoder_2": "第二个文本编码器",
        "models.part.vae": "VAE",
        "models.part.inside": "在同一文件中",
        "models.part.missing": "缺少：{file}",
        "models.where.parts.path": "diffusion_models/、text_encoders/",
        "models.where.parts": "去噪模型，以及它们需要的文本编码器",
        # 可获取的模型
        "models.offers": "可获取的模型",
        "models.offers.hint": "作者在 huggingface.co 上发布的文件，各自放进对应文件夹。中断的下载会从断点继续。",
        "models.offers.licence": "许可证：{licence}",
        "models.offers.gated": "作者要求您同意其条款：请登录它的页面并同意，然后在 HF_TOKEN 中填入访问令牌，再启动本程序。",
        "models.offers.files": "{n} 个文件，{size}：已有 {here}",
        "models.offers.here": "已有",
        "models.offers.get": "下载 {size}",
        "models.offers.resume": "继续，还有 {size}",
        "models.offers.stop": "停止",
        "models.offers.file.here": "已有",
        "models.offers.file.part": "已有 {size}",
        "models.offers.busy": "一次只能下载一个。",
        "models.offers.progress": "{file}：{done} / {total}",
        "models.offers.speed": "每秒 {size}",
        "models.offers.checking": "{file}：正在校验",
        "models.offers.stopped": "已停止。已下载的部分会保留。",
        "models.offers.done": "下载完成，可在各标签页中选择。",
        "word.variant": "版本",
        "word.download": "下载",
    }
)
