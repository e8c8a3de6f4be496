"""Response vectors on disk: written once, in a stream; read by memory map, in order or shuffled."""
