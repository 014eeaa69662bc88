"""日本語：解説タブ（カードの言葉以外）。"""



from collections.abc import Mapping
from types import MappingProxyType

WORDS: Mapping[str, str] = MappingProxyType(
    {
        "tab.explainer": "解説",
        "explain.title": "それぞれの設定の働き",
        "explain.lead": "どの並びも、一つのレシピの設定を一つだけ動かし、ここでモデルが作ったものです。動かして、見て、使ってください。",
        "explain.cards": "設定",
        "explain.low": "低いと",
        "explain.high": "高いと",
        "explain.none": "効かないとき",
        "explain.usual": "よく使う値",
        "explain.help.ask": "{name} について",
        "explain.help.move": "動かして見る",
    }
)
