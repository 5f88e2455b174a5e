"""What the text formats share: compression, encodings, types of text, and text of values."""
