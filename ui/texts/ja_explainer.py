"""日本語：解説タブ（カードの言葉以外）。"""

# ruff: noqa: E501  (one pair a line)

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
        # strips
        "explain.model": "使うモデル",
        "explain.every": "すべての並びを作る",
        "explain.make": "この画像を作る",
        "explain.stop": "停止",
        "explain.wait": "順番待ち",
        "explain.took": "{seconds} 秒、モデル呼び出し {calls} 回で作りました。",
        "explain.cost": "{seconds} 秒、モデル呼び出し {calls} 回",
        "explain.values": "{title}：値",
        "explain.cell": "{title}：{label}",
        "explain.cell.wait": "{title}：{label}（まだありません）",
        "explain.compare": "一つ前と比べる",
        "explain.divider": "{a} と {b} の境目",
        "explain.source": "ここから始めます",
        "explain.use.text2image": "text2image で使う",
        "explain.use.lora": "LoRA で使う",
        "explain.use.split": "分割で使う",
        "explain.grid": "二つの設定を同時に",
        "explain.grid.lead": "設定は互いに支え合っています。CFG が高ければステップも多く要ります。好きな二つを選んでください。",
        "explain.grid.x": "横",
        "explain.grid.y": "縦",
        # 数字でない値
        "explain.cell.own": "元のまま",
        "explain.cell.tiles": "元のまま、タイルごと",
        "explain.cell.unguided": "ガイドなし",
        "explain.cell.by_cfg": "CFG、一歩に二回計算",
        "explain.cell.learnt": "学習済み、一歩に一回",
        "explain.cell.without": "{value}、LCM なし",
        "explain.cell.with": "{value}、LCM あり",
        "explain.cell.left.keep": "そのまま渡す",
        "explain.cell.clean.keep": "仕上げて渡す",
        "explain.cell.clean.add": "仕上げて新しいノイズ",
        "explain.cell.left.add": "ノイズにノイズ",
        "explain.cell.empty": "ノイズなし",
        # 選んだモデルとは別のモデルで見せる理由
        "explain.why.clip_skip": "{model} は決まった層でプロンプトを読み取るので、clip skip は効きません。{shown} でお見せします。",
        "explain.why.shift": "{model} には専用のノイズ表があるので、shift は効きません。{shown} でお見せします。",
        "explain.why.guidance": "{model} はガイダンスを学んでいないので、この数は効きません。代わりになるものをお見せします。",
        "explain.why.embedding": "{model} には埋め込みを入れる場所がなく、名前は言葉として読まれます。{shown} でお見せします。",
        "explain.why.demo": "必要なファイルは {shown} 用なので、それでお見せします。",
        # 並びについて知っておくこと
        "explain.note.layers": "このモデルのテキストエンコーダーは {layers} 層なので、止められる場所も同じ数です。",
        "explain.note.cfg": "{model} は CFG なしで学習しています。本来の 1 ではネガティブプロンプトは効かず、上げると時間が倍になります。",
        "explain.note.guidance": "ガイドを学んだモデルは、外から導かれるモデルの半分の呼び出しで済みます。",
        "explain.note.vae": "タイルはメモリーを節約するため一枚ずつ開いて継ぎ合わせます。中央の線を見てください。models/vae にある別の VAE もここに並びます。",
        "explain.note.lcm": "LoRA なしとありの時間を比べてください。",
        "explain.note.lcm.none": "専用に学習していないモデルにサンプラーだけを使った例です。一歩ごとに古いノイズを捨てるので柔らかくなります。",
        "explain.note.noise": "ステップ {middle} で切っています。違うのは、そこで渡すものと、ノイズを加えるかどうかだけです。",
        "explain.note.denoise": "右端では、下描きの名残しかありません。",
    }
)
