"""Русский: промпт подробнее."""

# ruff: noqa: E501  (one pair a line)

from collections.abc import Mapping
from types import MappingProxyType

WORDS: Mapping[str, str] = MappingProxyType(
    {
        "enrich.ask": "Расписать промпт",
        "enrich.undo": "Вернуть прежний промпт",
        "enrich.box": "Промпт подробнее",
        "enrich.text": "Подробнее",
        "enrich.use": "Взять",
        "enrich.again": "Сказать иначе",
        "enrich.stop": "Остановить",
        "enrich.discard": "Отбросить",
        "enrich.reading": "Чтение промпта",
        "enrich.writing": "Пишется, токенов: {tokens}",
        "enrich.done": "Написано токенов: {tokens}. Правьте как угодно.",
        "enrich.stopped": "Остановлено. Написанное можно взять.",
        "enrich.broken": "Внутри Stepwise что-то сломалось, ничего не написано: причина — в журнале.",
        "enrich.off.absent": "Этой модели здесь пока нет, писать некому.",
        "enrich.off.encoder": "Текстовые энкодеры этой модели только читают. Пишет энкодер Z-Image или сервер, заданный в --enrich-url.",
        "enrich.off.untaught": "Текстовый энкодер этой модели писать не учили. Умеет полный Z-Image; или задайте сервер в --enrich-url.",
        "enrich.off.untied": "Слой, которым пишет текстовый энкодер этой модели, не загружен. Писать может сервер из --enrich-url.",
    }
)

ERRORS: Mapping[str, str] = MappingProxyType(
    {
        "The prompt has {count} letters: at most {most} can be enriched.": "Знаков в промпте {count}: расписать можно не больше {most}.",
        "{syntax} belongs to single words or steps, and would not survive: take it out, enrich the prompt, then put it in again.": "{syntax} относится к отдельным словам или шагам и не уцелеет: уберите, распишите промпт и верните.",
        "There is nothing to enrich: write a prompt first.": "Расписывать нечего: сначала напишите промпт.",
        "Nothing was written: ask for another wording, or write the prompt in other words.": "Ничего не написано: попросите сказать иначе или измените промпт.",
        "{quote} was not kept as you wrote it, and was put back: look where it stands.": "{quote} не сохранилось как написано и возвращено: проверьте, где оно стоит.",
        "The text is in another language than your prompt: ask for another wording.": "Текст не на языке промпта: попросите сказать иначе.",
        "{name} is not here yet, so it cannot write: download it, or choose another model.": "{name} здесь пока нет, писать она не может: скачайте её или выберите другую модель.",
        "The text encoders of {name} read and cannot write: choose a Z-Image model, or name a server with --enrich-url.": "Текстовые энкодеры {name} читают, но не пишут: выберите модель Z-Image или задайте сервер в --enrich-url.",
        "The text encoder of {name} was taught to read and never to write: choose another one, or name a server with --enrich-url.": "Текстовый энкодер {name} учили читать, но не писать: выберите другую модель или задайте сервер в --enrich-url.",
        "The text encoder of {name} writes with a layer that is not loaded: choose another one, or name a server with --enrich-url.": "Слой, которым пишет текстовый энкодер {name}, не загружен: выберите другую модель или задайте сервер в --enrich-url.",
        "{url} is no address of a server: write one like http://127.0.0.1:11434/v1.": "{url} — не адрес сервера: пишите вида http://127.0.0.1:11434/v1.",
        "Which model of {url} is to write is not told: give --enrich-model.": "Не сказано, какая модель на {url} пишет: задайте --enrich-model.",
        "The server at {url} does not stop writing: choose another model.": "Сервер {url} пишет без остановки: выберите другую модель.",
        "Nobody answers at {url}: start the server, or check --enrich-url.": "{url} не отвечает: запустите сервер или проверьте --enrich-url.",
        "The server at {url} was silent for {seconds:.0f} seconds: look whether it still loads {model}.": "Сервер {url} молчал {seconds:.0f} с: проверьте, не загружает ли он ещё {model}.",
        "The server at {url} wants a key, or another one: set STEPWISE_ENRICH_KEY.": "Серверу {url} нужен ключ или другой ключ: задайте STEPWISE_ENRICH_KEY.",
        "The server at {url} knows no model {model}, or has no /chat/completions there: check --enrich-model and --enrich-url.": "На сервере {url} нет модели {model} или адреса /chat/completions: проверьте --enrich-model и --enrich-url.",
        "The server at {url} refused with status {status}: its own log says why.": "Сервер {url} отказал, код {status}: причина — в его журнале.",
        "The server at {url} broke off with an error: its own log says why.": "Сервер {url} прервался с ошибкой: причина — в его журнале.",
        "What {url} answers is no stream of a chat: check that --enrich-url ends as the server's OpenAI address does, often in /v1.": "Ответ {url} — не поток чата: проверьте, что --enrich-url кончается как адрес OpenAI у сервера, часто на /v1.",
        "The server at {url} broke off in the middle: try again, or look at its log.": "Сервер {url} оборвался на середине: повторите или посмотрите его журнал.",
    }
)
