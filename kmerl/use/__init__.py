"""A pretrained model in use: any leads, any sampling rate, any class names."""
