"""Sentences about getting models in simplified Chinese: English template -> Chinese template with the same values."""

# ruff: noqa: E501  (one pair a line)

from collections.abc import Mapping
from types import MappingProxyType

DOWNLOADS: Mapping[str, str] = MappingProxyType(
    {
        "{file} needs {needed:.1f} GB more, and {free:.1f} GB are free: make room and go on.": "{file} 还需要 {needed:.1f} GB，可用 {free:.1f} GB：请腾出空间后继续。",
        "There is no {file} in {name} on huggingface.co.": "huggingface.co 的 {name} 中没有 {file}。",
        "{file} did not arrive as it was sent: download it again.": "{file} 未能完整送达，请重新下载。",
        "{name} is given to those who agree to its licence: log in at {page}, agree, and start this program with your access token in HF_TOKEN.": "{name} 需要同意许可证：请在 {page} 登录并同意，然后在 HF_TOKEN 中填入访问令牌，再启动本程序。",
        "huggingface.co cannot be reached from here: connect to the network, or put {file} from {page} into {folder}.": "无法连接 huggingface.co：请连接网络，或把 {page} 的 {file} 放到 {folder}。",
        "Models are not downloaded on a shared server: ask the person who runs it.": "共享服务器上不能下载模型，请联系运行它的人。",
        "A download is running: wait for it, or stop it first.": "正在下载：请等它完成，或先停止。",
    }
)
