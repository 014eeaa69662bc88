"""Pictures: files with their recipe inside, inputs by their hash, previews, and the gallery."""
