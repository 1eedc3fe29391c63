"""The book's models, exported from their chapters by ``make export``: edit the chapter, not the module."""
