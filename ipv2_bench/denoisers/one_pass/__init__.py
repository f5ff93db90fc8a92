"""Networks that denoise in one pass."""
