"""Chat templates, run in processes of their own: they are programs of whoever made the model."""
