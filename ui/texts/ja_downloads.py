"""Sentences about getting models in Japanese: English template -> Japanese template with the same values."""

# ruff: noqa: E501  (one pair a line)

from collections.abc import Mapping
from types import MappingProxyType

DOWNLOADS: Mapping[str, str] = MappingProxyType(
    {
        "{file} needs {needed:.1f} GB more, and {free:.1f} GB are free: make room and go on.": "{file} にはあと {needed:.1f} GB 必要ですが、空きは {free:.1f} GB です。空きを作って再開してください。",
        "There is no {file} in {name} on huggingface.co.": "huggingface.co の {name} に {file} はありません。",
        "{file} did not arrive as it was sent: download it again.": "{file} は正しく届きませんでした。もう一度ダウンロードしてください。",
        "{name} is given to those who agree to its licence: log in at {page}, agree, and start this program with your access token in HF_TOKEN.": "{name} はライセンスへの同意が必要です。{page} にログインして同意し、アクセストークンを HF_TOKEN に入れてこのプログラムを起動してください。",
        "huggingface.co cannot be reached from here: connect to the network, or put {file} from {page} into {folder}.": "huggingface.co に接続できません。ネットワークにつなぐか、{page} の {file} を {folder} に置いてください。",
        "Models are not downloaded on a shared server: ask the person who runs it.": "共有サーバーではモデルをダウンロードできません。サーバーの管理者に頼んでください。",
        "A download is running: wait for it, or stop it first.": "ダウンロード中です。終わるまで待つか、先に停止してください。",
    }
)
