"""Examples to copy into other projects; nothing of ours imports them."""
