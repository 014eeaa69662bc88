"""Русский: взгляд внутрь, под карточками разбора."""

# ruff: noqa: E501  (one pair a line)

from collections.abc import Mapping
from types import MappingProxyType

WORDS: Mapping[str, str] = MappingProxyType(
    {
        "inside.title": "Взгляд внутрь",
        "inside.lead": "Что происходит между промптом и картинкой. Всё здесь измерено на ваших моделях.",
        "inside.wait": "Ждёт в очереди",
        "inside.stop": "Остановить",
        "inside.numbers": "То же числами",
        "run.looking": "Взгляд внутрь",
        # от шума к картинке
        "inside.trace.title": "От шума к картинке",
        "inside.trace.lead": "На каждом шаге модель видит латент с шумом и угадывает чистый. Сэмплер немного продвигается к этой догадке и спрашивает снова.",
        "inside.trace.look": "Проследить прогон",
        "inside.trace.scrub": "Шаг",
        "inside.trace.latent": "Что видит модель",
        "inside.trace.estimate": "Её догадка",
        "inside.trace.latent.alt": "Декодированный латент с шумом перед шагом {step}",
        "inside.trace.estimate.alt": "Оценка чистой картинки на шаге {step}",
        "inside.trace.said": "Перед шагом {step} из {steps}: шум величины σ {sigma}.",
        "inside.trace.end": "Шаги пройдены ({steps}): шума не осталось, это картинка.",
        # cfg стрелками
        "inside.arrows.title": "CFG стрелками",
        "inside.arrows.lead": "На этом шаге модель угадывает дважды: без промпта (негатив) и с ним (позитив). CFG идёт от первого ко второму и дальше: при 1 останавливается на позитиве, выше 1 продолжает в ту же сторону.",
        "inside.arrows.plot": "Латент, негатив, позитив и результат в плоскости, которую они задают",
        "inside.arrows.none": "При CFG 1 негатив не вычисляется, сравнивать нечего. Выберите модель с CFG.",
        "inside.arrows.x": "латент",
        "inside.arrows.negative": "негатив",
        "inside.arrows.positive": "позитив",
        "inside.arrows.result": "результат",
        "inside.arrows.own": "CFG {cfg}, как в этом прогоне",
        "inside.arrows.said": "Между негативом и позитивом {gap}, от латента до них {negative} и {positive}. При CFG {cfg} результат в {moved} от негатива и в {result} от латента.",
        "inside.arrows.stretched": "По ширине растянуто в {times} раз.",
        "inside.arrows.squeezed": "По высоте растянуто в {times} раз.",
        # слои
        "inside.layers.look": "Clip skip по слоям",
        "inside.layers.title": "Промпт после каждого слоя текстового энкодера",
        "inside.layers.lead": "Столбец — токен, строка — слой: чем сильнее цвет, тем дальше числа токена от последнего слоя. Свой clip skip этой модели: {own}. Что он делает с картинкой — на карточке выше.",
        "inside.layers.plot": "Насколько каждый токен далёк от последнего слоя",
        "inside.layers.skip": "clip skip {skip}",
        "inside.layers.cell": "clip skip {skip}, токен {token}: сходство {likeness}, длина {length}",
        "inside.layers.said": "Clip skip {skip}: сходство с последним слоем в среднем {mean}, наименьшее {least}.",
        # батч
        "inside.pair.look": "Картинка 3 из батча отдельно",
        "inside.pair.title": "Картинка 3 из батча отдельно",
        "inside.pair.lead": "У третьей картинки батча сид на 2 больше. Здесь она создаётся трижды, каждый раз с нуля, и сравнивается бит за битом.",
        "inside.pair.alone": "Отдельно, сид {seed}",
        "inside.pair.exact": "Третья в батче с сидом {seed}, по одной",
        "inside.pair.fast": "Третья в батче с сидом {seed}, все за один проход",
        "inside.pair.same": "Те же биты",
        "inside.pair.differs": "Разница не больше {most}: суммы округлены в другом порядке",
        # кривые sigma
        "inside.sigmas.title": "Кривые sigma",
        "inside.sigmas.lead": "Расписание говорит, сколько шума остаётся перед каждым шагом. Каждая кривая — одно расписание; точки — где выбранный сэмплер на деле спрашивает модель.",
        "inside.sigmas.plot": "Шум по шагам прогона для каждого расписания",
        "inside.sigmas.on": "вопрос на уровне расписания",
        "inside.sigmas.off": "вопрос между уровнями",
        "inside.sigmas.step": "шаг",
        "inside.sigmas.first": "первая σ",
        "inside.sigmas.middle": "в середине",
        "inside.sigmas.last": "последняя выше 0",
        "inside.sigmas.said": "{scheduler}, шагов {steps}: от σ {first} до {last}, затем 0; на полпути {half}.",
        "inside.sigmas.calls": "{sampler}: вызовов модели {calls}, все на этих уровнях.",
        "inside.sigmas.calls.between": "{sampler}: вызовов модели {calls}, из них между уровнями {between}.",
        "inside.calls.title": "Вызовы модели за прогон",
        "inside.calls.lead": "Посчитано на деле, а не взято из таблицы: каждый сэмплер проходит эти шаги на модели, которая записывает вопросы. С CFG каждый вызов — для двух промптов.",
        # токены
        "inside.tokens.title": "Что получает текстовый энкодер",
        "inside.tokens.lead": "Не слова, а токены — кусочки, которые знает токенизатор модели. CLIP читает их окнами по 75.",
        "inside.tokens.edits": "Шаги",
        "inside.tokens.steps": "Шаги {steps}",
        "inside.tokens.said": "{title}: токенов {tokens}, окон {windows}.",
        "inside.tokens.most": "Помещается {most}, считая шаблон.",
        "inside.tokens.too_long": "Помещается {most}, промпт длиннее на {over}: прогон с ним не начнётся.",
        "inside.tokens.unused": "Последние {count} не используются: модель берёт одну сводку первого окна.",
        "inside.tokens.window": "окно {number}",
        "inside.tokens.room": "токенов {tokens} из {room}",
        "inside.tokens.padding": "заполнения {count}",
        "inside.tokens.cut": "не используется",
        "inside.tokens.more": "и ещё {count}",
        "inside.tokens.weight": "вес не 1",
        "inside.tokens.weight.of": "вес {weight}",
        "inside.tokens.embedding": "эмбеддинг: один из его векторов",
        "inside.tokens.trigger": "триггерное слово LoRA",
        "inside.tokens.template": "собственный шаблон модели",
        "inside.tokens.loras": "Убрано, энкодерам не попадёт: {tags}",
        # VAE
        "inside.vae.title": "Что теряет VAE",
        "inside.vae.lead": "VAE сжимает картинку в малый латент и разворачивает обратно. Потерянное там не вернёт ни одна настройка.",
        "inside.vae.drop": "Перетащите картинку сюда или выберите файл",
        "inside.vae.latest": "Взять мою последнюю картинку",
        "inside.vae.no_latest": "Картинок пока нет: создайте в text2image или выберите файл.",
        "inside.vae.other": "Рядом другой VAE",
        "inside.vae.no_other": "нет",
        "inside.vae.own": "Свой VAE модели",
        "inside.vae.look": "Сжать и развернуть",
        "inside.vae.original": "До",
        "inside.vae.decoded": "После",
        "inside.vae.difference": "Разница × {factor}",
        "inside.vae.none": "бесконечность, потерь нет",
        "inside.vae.said": "PSNR {psnr}; цвет отличается в среднем на {mean} из 255, самое большее на {worst}. Было чисел {of}, стало {numbers}: меньше в {times} раз.",
    }
)
ERRORS: Mapping[str, str] = MappingProxyType(
    {
        "There is no picture yet: choose one.": "Картинки пока нет: выберите её.",
        "There is no such look inside.": "Такого взгляда внутрь нет.",
    }
)
