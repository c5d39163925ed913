"""Keras' layers, one file per family; `keras_table` joins them."""
