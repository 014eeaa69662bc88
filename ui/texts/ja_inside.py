"""Japanese: looking inside, under the explainer's cards."""

# ruff: noqa: E501  (one pair a line)

from collections.abc import Mapping
from types import MappingProxyType

WORDS: Mapping[str, str] = MappingProxyType(
    {
        "inside.title": "中をのぞく",
        "inside.lead": "プロンプトから画像までの間に起きること。ここの数値はすべて、お手元のモデルで実際に測ったものです。",
        "inside.wait": "順番を待っています",
        "inside.stop": "停止",
        "inside.numbers": "同じ内容を数値で",
        "run.looking": "中をのぞいています",
        # noise to picture
        "inside.trace.title": "ノイズから画像へ",
        "inside.trace.lead": "各ステップで、モデルはノイズの混じった latent を見て、きれいな latent を予想します。sampler はその予想へ少しだけ進み、また尋ねます。",
        "inside.trace.look": "1 回の生成をたどる",
        "inside.trace.scrub": "ステップ",
        "inside.trace.latent": "モデルが見ているもの",
        "inside.trace.estimate": "モデルの予想",
        "inside.trace.latent.alt": "ステップ {step} の前のノイズ入り latent をデコードしたもの",
        "inside.trace.estimate.alt": "ステップ {step} での、きれいな画像の予想",
        "inside.trace.said": "{steps} ステップのうちステップ {step} の前：ノイズの大きさ σ {sigma}。",
        "inside.trace.end": "{steps} ステップの後：ノイズは残っていません。これが画像です。",
        # cfg as arrows
        "inside.arrows.title": "矢印で見る CFG",
        "inside.arrows.lead": "このステップでモデルは 2 回予想します。プロンプトなし（negative）と、プロンプトあり（positive）です。CFG は前者から後者を通り過ぎて進みます。1 なら positive で止まり、1 より大きいと同じ向きにさらに進みます。",
        "inside.arrows.plot": "latent、negative、positive、結果を、それらが張る平面に描いたもの",
        "inside.arrows.none": "CFG 1 では negative を計算しないので、比べるものがありません。ガイダンスを使うモデルを選んでください。",
        "inside.arrows.x": "latent",
        "inside.arrows.negative": "negative",
        "inside.arrows.positive": "positive",
        "inside.arrows.result": "結果",
        "inside.arrows.own": "cfg {cfg}（この生成の値）",
        "inside.arrows.said": "negative と positive の距離は {gap}、latent からはそれぞれ {negative} と {positive} です。cfg {cfg} の結果は negative から {moved}、latent から {result} の所にあります。",
        "inside.arrows.stretched": "図は縦に対して横を {times} 倍に広げています。",
        "inside.arrows.squeezed": "図は横に対して縦を {times} 倍に広げています。",
        # layers
        "inside.layers.look": "clip skip を層ごとに",
        "inside.layers.title": "テキストエンコーダーの各層を出たプロンプト",
        "inside.layers.lead": "1 列が 1 トークン、1 行が 1 層です。色が濃いほど、そのトークンの数値は最後の層のものから離れています。このモデルの clip skip は {own} です。画像への効果は上のカードで見られます。",
        "inside.layers.plot": "各トークンが最後の層からどれだけ離れているか",
        "inside.layers.skip": "clip skip {skip}",
        "inside.layers.cell": "clip skip {skip}、トークン {token}：類似度 {likeness}、長さ {length}",
        "inside.layers.said": "clip skip {skip}：最後の層との類似度は平均 {mean}、最小 {least}。",
        # a batch
        "inside.pair.look": "バッチの 3 枚目を単独で",
        "inside.pair.title": "バッチの 3 枚目を単独で",
        "inside.pair.lead": "バッチの 3 枚目の seed は、バッチの seed に 2 を足したものです。ここでは毎回はじめから 3 通りに作り、1 ビットずつ比べます。",
        "inside.pair.alone": "単独、seed {seed}",
        "inside.pair.exact": "seed {seed} のバッチの 3 枚目、1 枚ずつ計算",
        "inside.pair.fast": "seed {seed} のバッチの 3 枚目、まとめて 1 回で計算",
        "inside.pair.same": "ビットまで同じ",
        "inside.pair.differs": "最大 {most} の差：和を丸める順序が違うため",
        # sigma curves
        "inside.sigmas.title": "sigma の曲線",
        "inside.sigmas.lead": "スケジュールは、各ステップの前にノイズがどれだけ残っているかを決めます。1 本の曲線が 1 つのスケジュールで、点は選んだ sampler が実際にモデルに尋ねる所です。",
        "inside.sigmas.plot": "スケジュールごとの、ステップに沿ったノイズの量",
        "inside.sigmas.on": "スケジュールの段で尋ねる",
        "inside.sigmas.off": "段の間で尋ねる",
        "inside.sigmas.step": "ステップ",
        "inside.sigmas.first": "最初の σ",
        "inside.sigmas.middle": "中ほど",
        "inside.sigmas.last": "0 の手前",
        "inside.sigmas.said": "{scheduler}、{steps} ステップ：σ {first} から {last} まで、その後 0。中ほどでは {half} です。",
        "inside.sigmas.calls": "{sampler} はモデルに {calls} 回尋ね、すべてこの段の上です。",
        "inside.sigmas.calls.between": "{sampler} はモデルに {calls} 回尋ね、そのうち {between} 回は段の間です。",
        "inside.calls.title": "1 回の生成でのモデル呼び出し",
        "inside.calls.lead": "表から引いたものではなく、数えたものです。どの sampler も、尋ねられたことを書き留めるモデルの上でこのステップを実行します。ガイダンスがあると、1 回の呼び出しで 2 つのプロンプトを計算します。",
        # tokens
        "inside.tokens.title": "テキストエンコーダーが受け取るもの",
        "inside.tokens.lead": "単語ではなくトークン、つまりモデルのトークナイザーが知っている断片です。CLIP はそれを 75 個ずつの窓で読みます。",
        "inside.tokens.edits": "ステップ",
        "inside.tokens.steps": "ステップ {steps}",
        "inside.tokens.said": "{title}：{windows} 個の窓に {tokens} トークン。",
        "inside.tokens.most": "テンプレートを含めて {most} まで入ります。",
        "inside.tokens.too_long": "{most} まで入るので、このプロンプトは {over} 長すぎます。このままでは生成できません。",
        "inside.tokens.unused": "最後の {count} 個の窓は使われません。このモデルは最初の窓の要約だけを使います。",
        "inside.tokens.window": "窓 {number}",
        "inside.tokens.room": "{room} 中 {tokens} トークン",
        "inside.tokens.padding": "埋め草 {count}",
        "inside.tokens.cut": "使われない",
        "inside.tokens.more": "ほか {count}",
        "inside.tokens.weight": "1 以外の重み",
        "inside.tokens.weight.of": "重み {weight}",
        "inside.tokens.embedding": "embedding のベクトルの 1 つ",
        "inside.tokens.trigger": "LoRA のトリガーワード",
        "inside.tokens.template": "モデル自身のテンプレート",
        "inside.tokens.loras": "取り除かれ、どのエンコーダーにも渡りません：{tags}",
        # the VAE
        "inside.vae.title": "VAE が失うもの",
        "inside.vae.lead": "VAE は画像を小さな latent に詰め、また広げます。そこで失われたものは、どの設定でも戻りません。",
        "inside.vae.drop": "画像をここに置くか、選んでください",
        "inside.vae.latest": "自分の最新の画像を使う",
        "inside.vae.no_latest": "まだ画像がありません。text2image で作るか、ファイルを選んでください。",
        "inside.vae.other": "並べて比べる VAE",
        "inside.vae.no_other": "なし",
        "inside.vae.own": "モデル自身の VAE",
        "inside.vae.look": "詰めて広げる",
        "inside.vae.original": "前",
        "inside.vae.decoded": "後",
        "inside.vae.difference": "差（{factor} 倍）",
        "inside.vae.none": "無限大（何も失われない）",
        "inside.vae.said": "PSNR {psnr}。色のずれは 255 段階で平均 {mean}、最大 {worst}。{of} 個の数が {numbers} 個になりました（{times} 分の 1）。",
    }
)
ERRORS: Mapping[str, str] = MappingProxyType(
    {
        "There is no picture yet: choose one.": "画像がまだありません。選んでください。",
        "There is no such look inside.": "そのような見方はありません。",
    }
)
