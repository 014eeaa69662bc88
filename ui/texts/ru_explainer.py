"""Русский: вкладка разбора, кроме слов её карточек."""

# ruff: noqa: E501  (one pair a line)

from collections.abc import Mapping
from types import MappingProxyType

WORDS: Mapping[str, str] = MappingProxyType(
    {
        "tab.explainer": "Разбор",
        "explain.title": "Что делает каждая настройка",
        "explain.lead": "Каждый ряд — один рецепт, где двигается одна настройка; картинки создаёт здесь сама модель. Двигайте, смотрите, применяйте.",
        "explain.cards": "Настройки",
        "explain.low": "Мало",
        "explain.high": "Много",
        "explain.none": "Впустую",
        "explain.usual": "Обычно",
        "explain.help.ask": "Что такое {name}",
        "explain.help.move": "Посмотреть в движении",
        # ряды
        "explain.model": "Показано на",
        "explain.every": "Создать все ряды",
        "explain.make": "Создать эти картинки",
        "explain.stop": "Остановить",
        "explain.wait": "Ждёт в очереди",
        "explain.took": "Время: {seconds} с, вызовов модели: {calls}.",
        "explain.cost": "{seconds} с, вызовов модели: {calls}",
        "explain.values": "{title}: значения",
        "explain.cell": "{title}: {label}",
        "explain.cell.wait": "{title}: {label}, ещё не создана",
        "explain.compare": "Сравнить с предыдущей",
        "explain.divider": "Разделитель между {a} и {b}",
        "explain.source": "Начинается с этой",
        "explain.use.text2image": "Взять в text2image",
        "explain.use.lora": "Взять в LoRA",
        "explain.use.split": "Взять в «Отрезки»",
        "explain.grid": "Две настройки сразу",
        "explain.grid.lead": "Настройки зависят друг от друга: высокому CFG нужно больше шагов. Выберите любые две.",
        "explain.grid.x": "По горизонтали",
        "explain.grid.y": "По вертикали",
        # значения не числами
        "explain.cell.own": "свой",
        "explain.cell.tiles": "свой, по тайлам",
        "explain.cell.unguided": "без CFG",
        "explain.cell.by_cfg": "CFG, два прохода на шаг",
        "explain.cell.learnt": "выучено, один проход на шаг",
        "explain.cell.without": "{value}, без LCM",
        "explain.cell.with": "{value}, с LCM",
        "explain.cell.left.keep": "передана как есть",
        "explain.cell.clean.keep": "сперва очищена",
        "explain.cell.clean.add": "очищена, новый шум",
        "explain.cell.left.add": "шум на шум",
        "explain.cell.empty": "совсем без шума",
        # почему показано на другой модели
        "explain.why.clip_skip": "{model} всегда берёт промпт с одного и того же слоя: clip skip на неё не действует. Показано на {shown}.",
        "explain.why.shift": "У {model} своя таблица шума: shift на неё не действует. Показано на {shown}.",
        "explain.why.guidance": "{model} не учили guidance: число на неё не действует. Показано то, что его заменяет.",
        "explain.why.embedding": "У {model} нет места для эмбеддингов: имена читаются как слова. Показано на {shown}.",
        "explain.why.demo": "Нужный файл сделан для {shown}, на ней и показано.",
        # что нужно знать о ряде
        "explain.note.layers": "Слоёв в текстовом энкодере этой модели: {layers}, столько и мест, где можно остановиться.",
        "explain.note.cfg": "{model} обучена обходиться без CFG: при своей единице негативный промпт не действует, а больше — вдвое дольше.",
        "explain.note.guidance": "Модели, выучившей guidance, нужно вдвое меньше вызовов, чем при CFG.",
        "explain.note.vae": "Тайлы разворачиваются по одному ради памяти и сшиваются: смотрите на середину. Другие VAE из models/vae тоже появятся здесь.",
        "explain.note.lcm": "Сравните время: без LoRA и с ней.",
        "explain.note.lcm.none": "Один сэмплер, модель этому не учили: мягко, потому что каждый шаг выбрасывает старый шум.",
        "explain.note.noise": "Прогон разрезан на шаге {middle}: разница лишь в том, что там передано и добавлен ли шум.",
        "explain.note.denoise": "На правом краю от рисунка остаётся лишь след.",
    }
)
