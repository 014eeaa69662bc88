"""Sentences about getting models in Russian: English template -> Russian template with the same values."""

# ruff: noqa: E501  (one pair a line)

from collections.abc import Mapping
from types import MappingProxyType

DOWNLOADS: Mapping[str, str] = MappingProxyType(
    {
        "{file} needs {needed:.1f} GB more, and {free:.1f} GB are free: make room and go on.": "Для {file} нужно ещё {needed:.1f} ГБ, свободно {free:.1f} ГБ: освободите место и продолжите.",
        "There is no {file} in {name} on huggingface.co.": "В {name} на huggingface.co нет {file}.",
        "{file} did not arrive as it was sent: download it again.": "{file} пришёл с ошибками: скачайте его снова.",
        "{name} is given to those who agree to its licence: log in at {page}, agree, and start this program with your access token in HF_TOKEN.": "{name} даётся согласившимся с лицензией: войдите на {page}, согласитесь и запустите программу с токеном доступа в HF_TOKEN.",
        "huggingface.co cannot be reached from here: connect to the network, or put {file} from {page} into {folder}.": "huggingface.co недоступен: подключитесь к сети или положите {file} с {page} в {folder}.",
        "Models are not downloaded on a shared server: ask the person who runs it.": "На общем сервере модели не скачиваются: обратитесь к тому, кто его запустил.",
        "A download is running: wait for it, or stop it first.": "Загрузка уже идёт: дождитесь её или сначала остановите.",
    }
)
