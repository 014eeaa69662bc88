"""日本語：LoRA タブ。"""

from collections.abc import Mapping
from types import MappingProxyType

WORDS: Mapping[str, str] = MappingProxyType(
    {
        "tab.lora": "LoRA",
        "lora.chosen": "使用中",
        "lora.search": "名前、トリガーワード、ベースモデルで検索",
        "lora.count": "LoRA {n} 件",
        "lora.scanning": "ファイルを探しています…",
        "lora.nothing": "LoRA がまだありません。.safetensors ファイルを {folder} に置いてください",
        "lora.nothing.found": "すべての語を含むものはありません。",
        "lora.before": "前へ",
        "lora.after": "次へ",
        "lora.detail": "選択中の LoRA",
        "lora.other": "{its} 用です。{family} には合いません。",
        "lora.use": "使う",
        "lora.used": "使用中",
        "lora.words": "トリガーワード",
        "lora.words.hint": "クリックするとプロンプトに入ります",
        "lora.word": "{word} をプロンプトに入れる",
        "lora.words.none": "ファイルには書かれていません。",
        "lora.tags": "学習時のキャプション",
        "lora.base": "学習元",
        "lora.rank": "ランク",
        "lora.text": "作用する部分",
        "lora.text.both": "モデルとテキストエンコーダー",
        "lora.text.model": "モデル",
        "lora.size": "サイズ",
        "lora.notes": "メモ",
        "lora.edit": "編集",
        "lora.edit.words": "トリガーワード（カンマ区切り）",
        "lora.keep": "保存",
        "lora.keep.hint": "ライブラリ側に保存します。ファイルは変更しません",
        "lora.leave": "元のまま",
        "lora.pair": "なし／ありを比べる",
        "lora.pair.hint": "同じ seed で 2 枚：LoRA なしとあり。「比較」で差を表示します。",
        "lora.strength": "強さをスイープ",
        "lora.strength.hint": "5 枚：最初の LoRA の強さを 0、1/4、1/2、3/4、全部にします",
        "lora.start": "開始ステップをスイープ",
        "lora.start.hint": "LoRA をステップ 0 から、1/4 から、1/2 から…、最後まで使わない場合まで。共通部分は一度だけ計算します。",
        "loras.0.model": "最初の LoRA の強さ",
        "lora.first": "先に LoRA を選んでください（「使う」）。",
    }
)
