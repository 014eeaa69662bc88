"""日本語：プロンプトを詳しくする。"""

# ruff: noqa: E501  (one pair a line)

from collections.abc import Mapping
from types import MappingProxyType

WORDS: Mapping[str, str] = MappingProxyType(
    {
        "enrich.ask": "プロンプトを詳しくする",
        "enrich.undo": "元のプロンプトに戻す",
        "enrich.box": "詳しくしたプロンプト",
        "enrich.text": "詳しくしたもの",
        "enrich.use": "これを使う",
        "enrich.again": "別の言い方",
        "enrich.stop": "書くのを止める",
        "enrich.discard": "捨てる",
        "enrich.reading": "プロンプトを読んでいます",
        "enrich.writing": "書いています：{tokens} トークン",
        "enrich.done": "{tokens} トークン書きました。自由に直せます。",
        "enrich.stopped": "止めました。ここまでの文は使えます。",
        "enrich.broken": "Stepwise の内部で問題が起き、何も書かれませんでした。ログに詳細があります。",
        "enrich.off.absent": "このモデルはまだここにないため、書けません。",
        "enrich.off.encoder": "このモデルのテキストエンコーダーは読むだけです。Z-Image か、--enrich-url で指定したサーバーなら書けます。",
        "enrich.off.untaught": "このモデルのテキストエンコーダーは書くことを学んでいません。完全な Z-Image か、--enrich-url で指定したサーバーなら書けます。",
        "enrich.off.untied": "書くのに使う層が読み込まれていません。--enrich-url で指定したサーバーなら書けます。",
    }
)

ERRORS: Mapping[str, str] = MappingProxyType(
    {
        "The prompt has {count} letters: at most {most} can be enriched.": "プロンプトは {count} 文字あります。詳しくできるのは {most} 文字までです。",
        "{syntax} belongs to single words or steps, and would not survive: take it out, enrich the prompt, then put it in again.": "{syntax} は一つの語やステップに付くもので、書き直すと失われます。いったん外して詳しくし、その後で戻してください。",
        "There is nothing to enrich: write a prompt first.": "詳しくするものがありません。先にプロンプトを書いてください。",
        "Nothing was written: ask for another wording, or write the prompt in other words.": "何も書かれませんでした。別の言い方を頼むか、プロンプトを書き直してください。",
        "{quote} was not kept as you wrote it, and was put back: look where it stands.": "{quote} が書かれたとおりに残らなかったため、元に戻しました。位置を確かめてください。",
        "The text is in another language than your prompt: ask for another wording.": "文がプロンプトと違う言語になっています。別の言い方を頼んでください。",
        "{name} is not here yet, so it cannot write: download it, or choose another model.": "{name} はまだここにないため、書けません。ダウンロードするか、別のモデルを選んでください。",
        "The text encoders of {name} read and cannot write: choose a Z-Image model, or name a server with --enrich-url.": "{name} のテキストエンコーダーは読むだけで、書けません。Z-Image のモデルを選ぶか、--enrich-url でサーバーを指定してください。",
        "The text encoder of {name} was taught to read and never to write: choose another one, or name a server with --enrich-url.": "{name} のテキストエンコーダーは書くことを学んでいません。別のモデルを選ぶか、--enrich-url でサーバーを指定してください。",
        "The text encoder of {name} writes with a layer that is not loaded: choose another one, or name a server with --enrich-url.": "{name} のテキストエンコーダーが書くのに使う層は読み込まれていません。別のモデルを選ぶか、--enrich-url でサーバーを指定してください。",
        "{url} is no address of a server: write one like http://127.0.0.1:11434/v1.": "{url} はサーバーのアドレスではありません。http://127.0.0.1:11434/v1 のように書いてください。",
        "Which model of {url} is to write is not told: give --enrich-model.": "{url} のどのモデルが書くのか分かりません。--enrich-model を指定してください。",
        "The server at {url} does not stop writing: choose another model.": "{url} のサーバーが書くのを止めません。別のモデルを選んでください。",
        "Nobody answers at {url}: start the server, or check --enrich-url.": "{url} から応答がありません。サーバーを起動するか、--enrich-url を確かめてください。",
        "The server at {url} was silent for {seconds:.0f} seconds: look whether it still loads {model}.": "{url} のサーバーが {seconds:.0f} 秒間応答しませんでした。{model} を読み込み中でないか確かめてください。",
        "The server at {url} wants a key, or another one: set STEPWISE_ENRICH_KEY.": "{url} のサーバーはキー、または別のキーを求めています。STEPWISE_ENRICH_KEY を設定してください。",
        "The server at {url} knows no model {model}, or has no /chat/completions there: check --enrich-model and --enrich-url.": "{url} のサーバーに {model} というモデルがないか、/chat/completions がありません。--enrich-model と --enrich-url を確かめてください。",
        "The server at {url} refused with status {status}: its own log says why.": "{url} のサーバーがステータス {status} で断りました。理由はサーバーのログにあります。",
        "The server at {url} broke off with an error: its own log says why.": "{url} のサーバーがエラーで中断しました。理由はサーバーのログにあります。",
        "What {url} answers is no stream of a chat: check that --enrich-url ends as the server's OpenAI address does, often in /v1.": "{url} の応答はチャットのストリームではありません。--enrich-url の末尾がサーバーの OpenAI 互換アドレス（多くは /v1）になっているか確かめてください。",
        "The server at {url} broke off in the middle: try again, or look at its log.": "{url} のサーバーが途中で切れました。もう一度試すか、サーバーのログを見てください。",
    }
)
