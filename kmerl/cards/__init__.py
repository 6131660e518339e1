"""The model card of a pretrained run, made from what was computed."""
