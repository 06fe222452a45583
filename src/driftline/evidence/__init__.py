"""References, and what speaks for a window having left one. Pure: numbers in, numbers out."""
