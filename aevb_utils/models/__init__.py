"""The book's models. Each module here is exported from its chapter by ``make export``: edit the chapter, not the module."""
