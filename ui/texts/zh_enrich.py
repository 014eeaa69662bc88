"""简体中文：把提示词写得更详细。"""

# ruff: noqa: E501  (one pair a line)

from collections.abc import Mapping
from types import MappingProxyType

WORDS: Mapping[str, str] = MappingProxyType(
    {
        "enrich.ask": "扩写提示词",
        "enrich.undo": "恢复原提示词",
        "enrich.box": "扩写后的提示词",
        "enrich.text": "扩写",
        "enrich.use": "使用",
        "enrich.again": "换个说法",
        "enrich.stop": "停止扩写",
        "enrich.discard": "放弃",
        "enrich.reading": "正在读取提示词",
        "enrich.writing": "正在扩写：{tokens} 个 token",
        "enrich.done": "已写 {tokens} 个 token，可以随意修改。",
        "enrich.stopped": "已停止。已写的部分可以使用。",
        "enrich.broken": "Stepwise 内部出了问题，什么也没写：详情见日志。",
        "enrich.off.absent": "这个模型还不在这里，无法扩写。",
        "enrich.off.encoder": "这个模型的文本编码器只会读。Z-Image 的也会写，用 --enrich-url 指定的服务器也可以。",
        "enrich.off.untaught": "这个模型的文本编码器没有学过写。完整的 Z-Image 会写；也可用 --enrich-url 指定服务器。",
        "enrich.off.untied": "这个模型的文本编码器用来写的那一层没有加载。可用 --enrich-url 指定服务器。",
    }
)

ERRORS: Mapping[str, str] = MappingProxyType(
    {
        "The prompt has {count} letters: at most {most} can be enriched.": "提示词有 {count} 个字符，最多能扩写 {most} 个。",
        "{syntax} belongs to single words or steps, and would not survive: take it out, enrich the prompt, then put it in again.": "{syntax} 属于单个词或步，扩写后会丢失：请先去掉，扩写后再放回。",
        "There is nothing to enrich: write a prompt first.": "没有可扩写的内容：请先写提示词。",
        "Nothing was written: ask for another wording, or write the prompt in other words.": "什么也没写出来：请换个说法，或改写提示词。",
        "{quote} was not kept as you wrote it, and was put back: look where it stands.": "{quote} 没有按原样保留，已放回：请检查它的位置。",
        "The text is in another language than your prompt: ask for another wording.": "扩写的语言与提示词不同：请换个说法。",
        "{name} is not here yet, so it cannot write: download it, or choose another model.": "{name} 还不在这里，无法扩写：请下载它，或换一个模型。",
        "The text encoders of {name} read and cannot write: choose a Z-Image model, or name a server with --enrich-url.": "{name} 的文本编码器只会读，不会写：请选择 Z-Image 模型，或用 --enrich-url 指定服务器。",
        "The text encoder of {name} was taught to read and never to write: choose another one, or name a server with --enrich-url.": "{name} 的文本编码器学过读，没学过写：请换一个模型，或用 --enrich-url 指定服务器。",
        "The text encoder of {name} writes with a layer that is not loaded: choose another one, or name a server with --enrich-url.": "{name} 的文本编码器用来写的那一层没有加载：请换一个模型，或用 --enrich-url 指定服务器。",
        "{url} is no address of a server: write one like http://127.0.0.1:11434/v1.": "{url} 不是服务器地址：请写成 http://127.0.0.1:11434/v1 的形式。",
        "Which model of {url} is to write is not told: give --enrich-model.": "没有说明用 {url} 的哪个模型来写：请给出 --enrich-model。",
        "The server at {url} does not stop writing: choose another model.": "{url} 的服务器写个不停：请换一个模型。",
        "Nobody answers at {url}: start the server, or check --enrich-url.": "{url} 没有响应：请启动服务器，或检查 --enrich-url。",
        "The server at {url} was silent for {seconds:.0f} seconds: look whether it still loads {model}.": "{url} 的服务器 {seconds:.0f} 秒没有响应：请看它是否还在加载 {model}。",
        "The server at {url} wants a key, or another one: set STEPWISE_ENRICH_KEY.": "{url} 的服务器需要密钥，或密钥不对：请设置 STEPWISE_ENRICH_KEY。",
        "The server at {url} knows no model {model}, or has no /chat/completions there: check --enrich-model and --enrich-url.": "{url} 的服务器没有模型 {model}，或没有 /chat/completions：请检查 --enrich-model 和 --enrich-url。",
        "The server at {url} refused with status {status}: its own log says why.": "{url} 的服务器拒绝了请求，状态码 {status}：原因见它的日志。",
        "The server at {url} broke off with an error: its own log says why.": "{url} 的服务器因错误中断：原因见它的日志。",
        "What {url} answers is no stream of a chat: check that --enrich-url ends as the server's OpenAI address does, often in /v1.": "{url} 的回应不是聊天流：请检查 --enrich-url 的结尾是否与服务器的 OpenAI 地址一致，通常是 /v1。",
        "The server at {url} broke off in the middle: try again, or look at its log.": "{url} 的服务器中途断开：请重试，或查看它的日志。",
    }
)
