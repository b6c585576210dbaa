"""The pages, one module each: ``TITLE`` and ``build``, which puts the page into its frame."""
