"""The look of every page: environment, filters, words and macros."""
