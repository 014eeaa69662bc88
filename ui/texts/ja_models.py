"""日本語：CFG の代わりに伝える値と、モデルのタブ。"""

# ruff: noqa: E501  (one pair a line)

from collections.abc import Mapping
from types import MappingProxyType

WORDS: Mapping[str, str] = MappingProxyType(
    {
        "lacks.model.offer": "{file} がありません。「モデル」タブで {title} をダウンロードしてください。",
        "lacks.model.put": "{file} がありません。{folder} に置いてください。",
        "lacks.lora.page": "LoRA {name} がありません。{page} から入手して {folder} に置いてください。",
        "lacks.lora.put": "LoRA {name} がありません。{folder} に置くか、別の LoRA を選んでください。",
        "guidance": "Guidance",
        "guidance.hint": "数値としてモデルに伝わり、計算量は増えません。CFG を 1 より上げると 2 回目の計算が必要です。空欄ならモデルの既定値。",
        "guidance.reason": "このモデルに guidance はありません。CFG を使ってください。",
        "shift": "Shift",
        "shift.hint": "大きいほど、構図が決まるノイズの多い段階に長くとどまります。空欄ならこのサイズでのモデルの既定値。",
        "shift.reason": "このモデルに flow の shift はありません。",
        "prediction.reason": "flow モデルなので、選ぶものはありません。",
        # モデル：手元にあるもの
        "models.memory": "メモリにあるモデル（{level}）：{why}",
        "models.level": "メモリーレベル",
        "models.level.auto": "自動：収まる最初のもの",
        "models.level.resident": "すべてデバイスに置く",
        "models.level.swap": "部品ごとに交代",
        "models.level.stream": "ブロックごとに転送",
        "models.level.fp8": "8 ビット（画像が少し変わります）",
        "models.level.hint": "すべてのモデルに、次の画像から適用されます。",
        "models.level.guarded": "このサーバーの管理者が決めます。",
        "models.variant": "{name} の種類",
        "models.variant.turbo": "Turbo",
        "models.variant.base": "base",
        "models.variant.hint": "Turbo か base かはファイルからは分かりません。ステップ数、CFG、shift は選んだ種類に合わせます。",
        "models.part.text_encoder": "テキストエンコーダー",
        "models.part.text_encoder_2": "2 つ目のテキストエンコーダー",
        "models.part.vae": "VAE",
        "models.part.inside": "同じファイルの中",
        "models.part.missing": "不足：{file}",
        "models.where.parts.path": "diffusion_models/、text_encoders/",
        "models.where.parts": "denoiser と、それに必要なテキストエンコーダー",
        # モデル：入手できるもの
        "models.offers": "入手できるモデル",
        "models.offers.hint": "作者が huggingface.co で公開しているファイルを、それぞれのフォルダーに入れます。途中で切れても、続きから再開します。",
        "models.offers.licence": "ライセンス：{licence}",
        "models.offers.gated": "作者への同意が必要です。ページにログインして同意し、アクセストークンを HF_TOKEN に入れてこのプログラムを起動してください。",
        "models.offers.files": "{n} ファイル、{size}（あり：{here}）",
        "models.offers.here": "あります",
        "models.offers.get": "ダウンロード（{size}）",
        "models.offers.resume": "再開（残り {size}）",
        "models.offers.stop": "停止",
        "models.offers.file.here": "あり",
        "models.offers.file.part": "{size} まで取得済み",
        "models.offers.busy": "ダウンロードは一度に一つです。",
        "models.offers.progress": "{file}：{done} / {total}",
        "models.offers.speed": "毎秒 {size}",
        "models.offers.checking": "{file}：確認中",
        "models.offers.stopped": "停止しました。届いた分は残してあります。",
        "models.offers.done": "完了しました。どのタブでも選べます。",
        "word.variant": "種類",
        "word.download": "ダウンロード",
    }
)
