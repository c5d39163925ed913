"""Keras' files of any age and live Keras models, read without Keras."""
