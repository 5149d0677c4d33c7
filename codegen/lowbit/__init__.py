"""C emission of the ops that unpack quantized weights."""
