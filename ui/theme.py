"""The look: one accent, neutral surfaces, system fonts, light and dark alike. Shapes are in static/app.css."""

import gradio as gr
from gradio.themes.utils import colors, sizes

ACCENT = colors.Color(
    name="fir",
    c50="#eef6f4", c100="#d5eae6", c200="#abd5cd", c300="#7abbb0", c400="#4a9d91", c500="#2b8277",
    c600="#1b6a61", c700="#16564f", c800="#144540", c900="#123935", c950="#08211f",
)  # fmt: skip
GREY = colors.Color(
    name="plaster",
    c50="#f8f8f7", c100="#f1f1ef", c200="#e3e3e0", c300="#cdcdc9", c400="#9c9c97", c500="#73736f",
    c600="#565653", c700="#3f3f3d", c800="#2a2a29", c900="#1d1d1c", c950="#141413",
)  # fmt: skip
FONTS = [
    "system-ui",
    "-apple-system",
    "Segoe UI",
    "Roboto",
    "Noto Sans",
    "Hiragino Sans",
    "Noto Sans CJK JP",
    "sans-serif",
]
MONO = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "DejaVu Sans Mono", "monospace"]


def theme() -> gr.themes.Base:
    """Gradio's own parts (tabs, drawers) in the colours that our widgets use."""
    return gr.themes.Base(
        primary_hue=ACCENT, secondary_hue=GREY, neutral_hue=GREY, text_size=sizes.text_md,
        spacing_size=sizes.spacing_md, radius_size=sizes.radius_sm, font=FONTS, font_mono=MONO,
    ).set(
        body_background_fill="#f4f4f2", body_background_fill_dark="#171716",
        background_fill_primary="#ffffff", background_fill_primary_dark="#1f1f1e",
        background_fill_secondary="#ebebe8", background_fill_secondary_dark="#121211",
        border_color_primary="#dcdcd8", border_color_primary_dark="#363634",
        body_text_color="#20201f", body_text_color_dark="#e9e9e6",
        body_text_color_subdued="#62625e", body_text_color_subdued_dark="#a3a39e",
        color_accent="*primary_600", color_accent_soft="*primary_100", color_accent_soft_dark="*primary_900",
        block_background_fill="transparent", block_background_fill_dark="transparent",
        block_border_width="0px", block_border_width_dark="0px",
        block_shadow="none", block_shadow_dark="none", block_padding="0px",
        block_label_text_color="*body_text_color_subdued", block_label_text_color_dark="*body_text_color_subdued",
        layout_gap="14px", link_text_color="*primary_700", link_text_color_dark="*primary_300",
    )  # fmt: skip
