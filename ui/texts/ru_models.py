"""Русский: что сообщают моделям вместо CFG, и вкладка моделей."""

# ruff: noqa: E501  (one pair a line)

from collections.abc import Mapping
from types import MappingProxyType

WORDS: Mapping[str, str] = MappingProxyType(
    {
        "guidance": "Guidance",
        "guidance.hint": "Сообщается модели числом и ничего не стоит. CFG выше 1 стоит второго прохода. Пусто: как у модели.",
        "guidance.reason": "Этой модели guidance не сообщают: за это отвечает CFG.",
        "shift": "Shift",
        "shift.hint": "Выше — дольше там, где шума много и складывается композиция. Пусто: как у модели при этом размере.",
        "shift.reason": "У этой модели нет flow shift.",
        "prediction.reason": "Это flow-модель: выбирать нечего.",
        # что есть
        "models.memory": "Сейчас в памяти ({level}). {why}",
        "models.level": "Уровень памяти",
        "models.level.auto": "авто: первый подходящий",
        "models.level.resident": "всё на устройстве",
        "models.level.swap": "части по очереди",
        "models.level.stream": "блок за блоком",
        "models.level.fp8": "8 бит, картинки немного меняются",
        "models.level.hint": "Для всех моделей, начиная со следующей картинки.",
        "models.level.guarded": "Это решает тот, кто запустил сервер.",
        "models.variant": "Вариант {name}",
        "models.variant.turbo": "Turbo",
        "models.variant.base": "base",
        "models.variant.hint": "По файлу не отличить Turbo от base. Шаги, CFG и shift следуют вашему выбору.",
        "models.part.text_encoder": "текстовый энкодер",
        "models.part.text_encoder_2": "второй текстовый энкодер",
        "models.part.vae": "VAE",
        "models.part.inside": "в том же файле",
        "models.part.missing": "нет: {file}",
        "models.where.parts.path": "diffusion_models/, text_encoders/",
        "models.where.parts": "денойзеры и нужные им текстовые энкодеры",
        # что можно скачать
        "models.offers": "Модели для загрузки",
        "models.offers.hint": "Файлы авторов с huggingface.co, каждый в свою папку. Прерванная загрузка продолжится с того же места.",
        "models.offers.licence": "Лицензия: {licence}",
        "models.offers.gated": "Авторы просят согласия: войдите на страницу модели и согласитесь, затем запустите программу с токеном доступа в HF_TOKEN.",
        "models.offers.files": "Файлов {n}, {size}: есть {here}",
        "models.offers.here": "Есть",
        "models.offers.get": "Скачать {size}",
        "models.offers.resume": "Продолжить, осталось {size}",
        "models.offers.stop": "Остановить",
        "models.offers.file.here": "есть",
        "models.offers.file.part": "есть {size}",
        "models.offers.busy": "Загрузки идут по одной.",
        "models.offers.progress": "{file}: {done} из {total}",
        "models.offers.speed": "{size}/с",
        "models.offers.checking": "{file}: проверка",
        "models.offers.stopped": "Остановлено. Скачанное сохранено.",
        "models.offers.done": "Готово. Модель можно выбрать на любой вкладке.",
        "word.variant": "вариант",
        "word.download": "загрузка",
    }
)
